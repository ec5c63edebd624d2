// What all calls of the gRPC server share: workers, limits, the drain.
#pragma once

#include <grpcpp/server_context.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "core/request_context.h"
#include "server/access.h"
#include "server/grpc_method.h"
#include "server/metrics.h"
#include "server/tracer.h"

namespace garrison {

struct GrpcLimits {
  std::size_t workers = 1;
  std::size_t queue = 256;   // messages waiting for a worker
  std::size_t calls = 1024;  // open at once, idle streams included
  // Messages received or waited for by clients, in total.
  std::uint64_t bytes_in_flight = 256 * 1024 * 1024;
  std::size_t messages_per_request = 2048;         // of a stream that is answered as a whole
  std::chrono::milliseconds request_time{60'000};  // from a message to its answer
  std::chrono::milliseconds idle_time{60'000};     // of a stream that waits for a message
  std::chrono::milliseconds write_time{30'000};    // for a client to take an answer
};

// An open call as the runtime sees it.
class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  // Comes several times a second: ends the call if it has waited for its client for too long. While
  // the server drains a stream without work has waited long enough. Must not block.
  virtual void Sweep(SteadyTime now, bool draining) = 0;
};

// Thread-safe.
class GrpcRuntime {
 public:
  using NewId = std::function<std::string()>;

  // The references must outlive it; so must every call that was opened.
  GrpcRuntime(const GrpcLimits& limits, Metrics& metrics, Access& access, Tracer& tracer,
              const Clock& clock, Logger& logger, NewId new_id);
  ~GrpcRuntime();

  const GrpcLimits& limits() const { return limits_; }
  SteadyTime Now() const { return clock_.Now(); }

  // The name of the caller's key, by its metadata; errors as Access::Identify.
  Result<std::string> Identify(const grpc::CallbackServerContext& call) const;

  // RESOURCE_EXHAUSTED over `calls`, UNAVAILABLE while draining. What was opened must be closed.
  Result<> Open(const std::shared_ptr<GrpcCall>& call);
  void Close(const GrpcCall& call);
  std::size_t open() const;

  // RESOURCE_EXHAUSTED over `bytes_in_flight`. What was charged must be released.
  Result<> Charge(std::uint64_t bytes);
  // For answers: they are there already.
  void ChargeAnyway(std::uint64_t bytes);
  void Release(std::uint64_t bytes);

  // As ThreadPool::Submit.
  Result<> Submit(std::function<void()> task) { return pool_.Submit(std::move(task)); }

  // Of a message that has just come: the nearer of the call's deadline and request_time.
  RequestContext MakeContext(const grpc::CallbackServerContext& call, std::stop_token stop,
                             const std::string& caller) const;

  // Runs the method if the caller's rate allows it, counts and logs how it went. Blocks.
  Result<GrpcAnswer> Answer(const GrpcMethod& method, std::span<grpc::ByteBuffer> messages,
                            const RequestContext& context) const;
  // Counts what was refused before it came to that.
  void CountRefusal(const GrpcMethod& method, Code code) const;

  // From now on calls are refused and streams without work end.
  void StartDraining();
  // False when calls are still open then, or after Hurry().
  bool WaitUntilIdle(SteadyTime until);
  void Hurry();
  // Runs what was accepted and joins the workers.
  void StopWorkers() { pool_.Stop(); }

 private:
  void SweepUntilStopped();
  void Trace(const GrpcMethod& method, const RequestContext& context, WallTime began,
             std::chrono::nanoseconds duration, const Result<GrpcAnswer>& answered) const;

  const GrpcLimits limits_;
  Metrics& metrics_;
  Access& access_;
  Tracer& tracer_;
  const Clock& clock_;
  Logger& logger_;
  const NewId new_id_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::map<const GrpcCall*, std::weak_ptr<GrpcCall>> calls_;
  std::uint64_t bytes_ = 0;
  bool draining_ = false;
  bool hurried_ = false;
  bool stopped_ = false;

  ThreadPool pool_;
  std::thread sweeper_;
};

}  // namespace garrison
