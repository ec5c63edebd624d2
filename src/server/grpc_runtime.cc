#include "server/grpc_runtime.h"

#include <malloc.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

namespace garrison {
namespace {

constexpr std::chrono::milliseconds kSweepEvery{100};
// After this long without a call the memory of large messages goes back to the system.
constexpr std::chrono::seconds kTrimAfter{10};

// The first of that name; empty if there is none.
std::string_view FindMetadata(const grpc::CallbackServerContext& call, const char* name) {
  const auto found = call.client_metadata().find(name);
  if (found == call.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

}  // namespace

GrpcRuntime::GrpcRuntime(const GrpcLimits& limits, Metrics& metrics, Access& access, Tracer& tracer,
                         const Clock& clock, Logger& logger, NewId new_id)
    : limits_(limits),
      metrics_(metrics),
      access_(access),
      tracer_(tracer),
      clock_(clock),
      logger_(logger),
      new_id_(std::move(new_id)),
      pool_(limits.workers, limits.queue),
      sweeper_([this] { SweepUntilStopped(); }) {}

GrpcRuntime::~GrpcRuntime() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  sweeper_.join();
}

Result<std::string> GrpcRuntime::Identify(const grpc::CallbackServerContext& call) const {
  return access_.Identify(Scope::kEmbed, PresentedKey(FindMetadata(call, "authorization"),
                                                      FindMetadata(call, "x-api-key")));
}

Result<> GrpcRuntime::Open(const std::shared_ptr<GrpcCall>& call) {
  {
    const std::lock_guard lock(mutex_);
    if (draining_) {
      return Fail(Code::kUnavailable, "the service is shutting down; send the request elsewhere");
    }
    if (calls_.size() >= limits_.calls) {
      auto failure = Fail(Code::kResourceExhausted, "{} calls are open already; try again shortly",
                          limits_.calls);
      failure.value().retry_after = std::chrono::seconds(1);
      return failure;
    }
    calls_.emplace(call.get(), call);
    if (calls_.size() > 1) return {};
  }
  changed_.notify_all();  // the sweeper sleeps while there are none
  return {};
}

void GrpcRuntime::Close(const GrpcCall& call) {
  const std::lock_guard lock(mutex_);
  calls_.erase(&call);
  if (calls_.empty()) changed_.notify_all();
}

std::size_t GrpcRuntime::open() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

Result<> GrpcRuntime::Charge(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes_ + bytes > limits_.bytes_in_flight) {
    auto failure = Fail(Code::kResourceExhausted,
                        "too many bytes are on their way already (limits.bytes_in_flight); try "
                        "again shortly");
    failure.value().retry_after = std::chrono::seconds(1);
    return failure;
  }
  bytes_ += bytes;
  return {};
}

void GrpcRuntime::ChargeAnyway(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ += bytes;
}

void GrpcRuntime::Release(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ -= bytes;
}

RequestContext GrpcRuntime::MakeContext(const grpc::CallbackServerContext& call,
                                        std::stop_token stop, const std::string& caller) const {
  RequestContext context{new_id_(), clock_.Now() + limits_.request_time, std::move(stop), caller};
  context.trace =
      tracer_.Begin(FindMetadata(call, "traceparent"), FindMetadata(call, "tracestate"));
  // gRPC says deadlines by the wall clock; one that is far off, or none, would overflow ours.
  const auto left = call.deadline() - std::chrono::system_clock::now();
  if (left < limits_.request_time) {
    context.deadline = clock_.Now() + std::chrono::duration_cast<std::chrono::nanoseconds>(left);
  }
  return context;
}

Result<GrpcAnswer> GrpcRuntime::Answer(const GrpcMethod& method,
                                       std::span<grpc::ByteBuffer> messages,
                                       const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  const WallTime began = clock_.WallNow();
  const auto answer = [&]() -> Result<GrpcAnswer> {
    // Clients that left while their message waited cost nothing more.
    RETURN_IF_ERROR(context.Check(start));
    RETURN_IF_ERROR(access_.CountRequest(context.client));
    try {
      return method.answer(messages, context);
    } catch (const std::bad_alloc&) {
      return Fail(Code::kResourceExhausted, "out of memory; send less at once");
    }
  };
  Result<GrpcAnswer> answered = answer();
  if (answered) {
    access_.Charge(context.client, answered->tokens);
  } else {
    const Code code = answered.error().code;
    if (code == Code::kInternal || code == Code::kUnknown || code == Code::kDataLoss) {
      logger_.Error("call {} {} failed: {}", context.id, method.name, answered.error().ToString());
    }
  }
  const std::chrono::nanoseconds duration = clock_.Now() - start;
  metrics_.CountCall(method.name, answered ? "OK" : CodeName(answered.error().code),
                     std::chrono::duration<double>(duration).count());
  Trace(method, context, began, duration, answered);
  return answered;
}

// As the semantic conventions name calls of gRPC: the codes below are the server's own faults.
void GrpcRuntime::Trace(const GrpcMethod& method, const RequestContext& context, WallTime began,
                        std::chrono::nanoseconds duration,
                        const Result<GrpcAnswer>& answered) const {
  if (!context.trace.sampled || !tracer_.records()) return;
  const std::size_t slash = std::min(method.name.find('/'), method.name.size() - 1);
  const Code code = answered ? Code{} : answered.error().code;
  Span span{.trace = context.trace, .name = method.name, .start = began, .duration = duration};
  span.attributes = {{"rpc.system", std::string("grpc")},
                     {"rpc.service", method.name.substr(0, slash)},
                     {"rpc.method", method.name.substr(slash + 1)},
                     {"rpc.grpc.status_code", static_cast<std::int64_t>(code)},
                     {"garrison.request_id", context.id}};
  if (!context.client.empty()) span.attributes.emplace_back("enduser.id", context.client);
  if (answered) {
    span.attributes.emplace_back("gen_ai.usage.input_tokens",
                                 static_cast<std::int64_t>(answered->tokens));
  }
  for (const Code fault : {Code::kUnknown, Code::kDeadlineExceeded, Code::kUnimplemented,
                           Code::kInternal, Code::kUnavailable, Code::kDataLoss}) {
    if (code == fault) span.error = CodeName(code);
  }
  tracer_.End(std::move(span));
}

void GrpcRuntime::CountRefusal(const GrpcMethod& method, Code code) const {
  metrics_.CountCall(method.name, CodeName(code), 0);
}

void GrpcRuntime::StartDraining() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  changed_.notify_all();
}

bool GrpcRuntime::WaitUntilIdle(SteadyTime until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [this] { return calls_.empty() || hurried_; });
  return calls_.empty();
}

void GrpcRuntime::Hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
  }
  changed_.notify_all();
}

void GrpcRuntime::SweepUntilStopped() {
  std::unique_lock lock(mutex_);
  const auto wanted = [this] { return stopped_ || !calls_.empty(); };
  changed_.wait(lock, wanted);
  while (!stopped_) {
    if (!changed_.wait_for(lock, kTrimAfter, wanted)) {
      lock.unlock();
      malloc_trim(0);
      lock.lock();
      changed_.wait(lock, wanted);
    }
    changed_.wait_for(lock, kSweepEvery, [this] { return stopped_; });
    std::vector<std::shared_ptr<GrpcCall>> calls;
    for (const auto& [address, call] : calls_) {
      if (auto live = call.lock()) calls.push_back(std::move(live));
    }
    const bool draining = draining_;
    // A call that ends closes itself, on this thread or another.
    lock.unlock();
    for (const std::shared_ptr<GrpcCall>& call : calls) call->Sweep(clock_.Now(), draining);
    calls.clear();
    lock.lock();
  }
}

}  // namespace garrison
