// Traces: which requests are recorded, and their way to an OpenTelemetry collector.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/settings.h"
#include "core/trace.h"
#include "net/http_client.h"

namespace garrison {

// Thread-safe. Requests never wait for the collector: spans go into a bounded queue that one thread
// sends in batches; what the collector does not take in time is lost and counted.
class Tracer {
 public:
  // Without tracing.endpoint nothing is recorded, and traces of callers are handed on all the same.
  // INVALID_ARGUMENT and NOT_FOUND for its settings. `logger` must outlive it.
  static Result<std::unique_ptr<Tracer>> Create(const TracingSettings& settings, Logger& logger);
  // `client` is null where there is no endpoint.
  Tracer(const TracingSettings& settings, std::unique_ptr<HttpClient> client, Logger& logger);
  // Sends what is left, for a few seconds at most.
  ~Tracer();

  // The place of a new request in its caller's trace, or in a new one. A caller's decision whether
  // to record holds; without one tracing.sample_ratio decides.
  TraceContext Begin(std::string_view traceparent, std::string_view tracestate) const;

  // A piece of work that has ended. Dropped unless span.trace.sampled.
  void End(Span span);

  bool records() const { return client_ != nullptr; }
  std::uint64_t lost() const { return lost_; }

 private:
  void SendUntilStopped(const std::stop_token& stop);
  void Send(std::vector<Span> spans, const std::stop_token& stop);
  // True: done with, taken or not. `wait`: before the next try.
  bool TryToSend(const std::string& body, std::size_t count, std::chrono::milliseconds& wait);
  void Lose(std::uint64_t count, const std::string& why);

  const TracingSettings settings_;
  const std::unique_ptr<HttpClient> client_;
  Logger& logger_;
  std::vector<HttpHeader> headers_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Span> queue_;  // guarded by mutex_
  std::atomic<std::uint64_t> lost_ = 0;
  // Only the sending thread.
  SteadyTime said_lost_;
  SteadyTime last_ = SteadyTime::max();  // when it ends, once it was stopped
  std::jthread thread_;                  // last: it uses all the others
};

}  // namespace garrison
