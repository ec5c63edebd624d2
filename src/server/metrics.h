// What an operator watches, in Prometheus' text format.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace garrison {

// Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  // One answered request. `route` is the pattern of the route table, never the client's own path.
  void CountRequest(std::string_view route, int status, double seconds);
  // One request that the server refused itself, before any route had it.
  void CountRefusal(int status);
  void CountEmbedding(std::size_t inputs, std::size_t tokens);
  void CountTurn(std::string_view action);

  // A value that is read when the metrics are: connections, conversations. Before serving only.
  void AddGauge(const std::string& name, const std::string& help, std::function<double()> read);

  std::string Text() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace garrison
