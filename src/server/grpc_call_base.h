// What the shapes of a call share. Private to grpc_*_call.cc.
#pragma once

#include <grpcpp/server_context.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "server/grpc_method.h"
#include "server/grpc_runtime.h"
#include "server/grpc_status.h"

namespace garrison {

// What a stream may still send once the server drains must come this soon after the last answer.
inline constexpr std::chrono::milliseconds kDrainGrace{200};

class GrpcCallBase : public GrpcCall, public std::enable_shared_from_this<GrpcCallBase> {
 public:
  GrpcCallBase(GrpcRuntime& runtime, const GrpcMethod& method, grpc::CallbackServerContext& context)
      : runtime_(runtime), method_(method), context_(context) {}

 protected:
  // Keeps the object until Leave(). Errors are those of GrpcRuntime::Identify and Open.
  Result<> Enter() {
    self_ = shared_from_this();
    ASSIGN_OR_RETURN(caller_, runtime_.Identify(context_));
    Result<> opened = runtime_.Open(self_);
    opened_ = opened.has_value();
    return opened;
  }

  // From OnDone, as the last thing: the object goes.
  void Leave() {
    {
      const std::lock_guard lock(end_mutex_);
      done_ = true;
    }
    runtime_.Release(charged_);
    if (opened_) runtime_.Close(*this);
    const std::shared_ptr<GrpcCallBase> self = std::move(self_);
  }

  // For a message that has just come.
  RequestContext MakeContext() const {
    return runtime_.MakeContext(context_, stop_.get_token(), caller_);
  }

  // Bytes of this call, released by Leave() at the latest. Not synchronised.
  Result<> Charge(std::uint64_t bytes) {
    RETURN_IF_ERROR(runtime_.Charge(bytes));
    charged_ += bytes;
    return {};
  }
  void ChargeAnyway(std::uint64_t bytes) {
    runtime_.ChargeAnyway(bytes);
    charged_ += bytes;
  }
  void Uncharge(std::uint64_t bytes) {
    runtime_.Release(bytes);
    charged_ -= bytes;
  }

  // What a status says beside itself, and since when the client is awaited to take it. Right before
  // Finish().
  grpc::Status End(const Result<>& outcome) {
    if (!outcome && outcome.error().retry_after) {
      // What retry policies of gRPC clients read.
      context_.AddTrailingMetadata("grpc-retry-pushback-ms",
                                   std::to_string(outcome.error().retry_after->count()));
    }
    const std::lock_guard lock(end_mutex_);
    ended_ = runtime_.Now();
    return outcome ? grpc::Status::OK : GrpcStatusOf(outcome.error());
  }

  // Of a stream that has waited for its client since `since` and has nothing else to do.
  Result<> CheckIdle(SteadyTime now, SteadyTime since, bool draining) const {
    if (draining && now - since > kDrainGrace) {
      return Fail(Code::kUnavailable, "the service is shutting down; send the request elsewhere");
    }
    if (now - since <= runtime_.limits().idle_time) return {};
    return Fail(Code::kDeadlineExceeded, "no message came within {} ms",
                runtime_.limits().idle_time.count());
  }

  // A client that does not take its answer loses it. gRPC may finish the call on this very thread.
  void SweepEnd(SteadyTime now) {
    const std::lock_guard lock(end_mutex_);
    if (!done_ && ended_ && now - *ended_ > runtime_.limits().write_time) context_.TryCancel();
  }

  GrpcRuntime& runtime_;
  const GrpcMethod& method_;
  grpc::CallbackServerContext& context_;
  std::stop_source stop_;

 private:
  std::shared_ptr<GrpcCallBase> self_;
  std::string caller_;
  bool opened_ = false;
  std::uint64_t charged_ = 0;

  std::recursive_mutex end_mutex_;
  // Guarded by end_mutex_.
  std::optional<SteadyTime> ended_;
  bool done_ = false;  // gRPC may free its context from now on
};

}  // namespace garrison
