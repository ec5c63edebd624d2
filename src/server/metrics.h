// What an operator watches, in Prometheus' text format.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/compute_times.h"
#include "core/embedder.h"
#include "core/pass_counts.h"
#include "server/chat_work.h"

namespace garrison {

// What a model did for one request.
struct ModelWork {
  enum class Job { kNone, kEmbed, kPredict };  // kPredict: rerank and classify
  Job job = Job::kNone;
  bool batch = false;               // a list of inputs, even of one
  std::vector<std::size_t> tokens;  // per input, as the model read them
  std::size_t truncated = 0;        // inputs of which the model did not read all
  std::size_t characters = 0;       // bytes of text
  ComputeTimes times;
  std::string compute;           // "cpu-int8-avx2"
  std::optional<Served> served;  // as Embeddings
};

// Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  // One answered request. `route` is the pattern of the route table, never the client's own path.
  void CountRequest(std::string_view route, int status, double seconds);
  // One request that the server refused itself, before any route had it.
  void CountRefusal(int status);
  // One message that a gRPC method answered: `code` is "OK" or the error's name.
  void CountCall(std::string_view method, std::string_view code, double seconds);
  // A request for a model's work that was done or failed, under the names of
  // text-embeddings-inference (te_*) and our own.
  void CountWork(const ModelWork& work, double seconds);
  void CountFailedWork(const ModelWork& work, Code code);
  // One answer of a model that chats, or a failure of it.
  void CountChat(const ChatWork& work, double seconds);
  void CountTurn(std::string_view action);
  // A pass of a model, as a PassListener learns of it.
  void CountPass(const std::string& model, const PassCounts& since);

  // How one request found its vectors in the cache. `saved_usd` is 0 where no price is known.
  void CountCacheUse(const std::string& model, std::uint64_t hits, std::uint64_t misses,
                     std::uint64_t saved_tokens, double saved_usd);

  // A count since the start that is kept elsewhere, read when the metrics are. Before serving only.
  void AddCounter(const std::string& name, const std::string& help, std::function<double()> read);
  // A value that is read when the metrics are: connections, conversations. Before serving only.
  void AddGauge(const std::string& name, const std::string& help, std::function<double()> read);

  std::string Text() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace garrison
