#include <vector>

#include "server/grpc_call_base.h"
#include "server/grpc_calls.h"

namespace garrison {
namespace {

class GatherCall final : public grpc::ServerReadReactor<grpc::ByteBuffer>, public GrpcCallBase {
 public:
  GatherCall(GrpcRuntime& runtime, const GrpcMethod& method, grpc::CallbackServerContext& context,
             grpc::ByteBuffer& response)
      : GrpcCallBase(runtime, method, context), response_(response) {}

  void Start() {
    const std::lock_guard lock(mutex_);
    if (Result<> opened = Enter(); !opened) return Refuse(opened);
    Read();
  }

  void OnReadDone(bool ok) override {
    const auto self = shared_from_this();  // the lock outlives a Finish
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    waiting_ = false;
    const Result<> accepted = ok ? Take() : Submit();
    if (!accepted) Refuse(accepted);
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { Leave(); }

  void Sweep(SteadyTime now, bool draining) override {
    {
      const std::lock_guard lock(mutex_);
      if (!finished_ && waiting_) {
        if (Result<> wait = CheckIdle(now, waiting_since_, draining); !wait) return Refuse(wait);
      }
    }
    SweepEnd(now);
  }

 private:
  void Read() {
    waiting_ = true;
    waiting_since_ = runtime_.Now();
    StartRead(&incoming_);
  }

  Result<> Take() {
    if (messages_.size() == runtime_.limits().messages_per_request) {
      return Fail(Code::kInvalidArgument, "expected at most {} messages; send several requests",
                  messages_.size());
    }
    RETURN_IF_ERROR(Charge(incoming_.Length()));
    messages_.push_back(std::move(incoming_));
    incoming_.Clear();
    Read();
    return {};
  }

  // The call finishes itself.
  Result<> Submit() {
    return runtime_.Submit([this, self = shared_from_this(), context = MakeContext()] {
      Result<GrpcAnswer> answer = runtime_.Answer(method_, messages_, context);
      const std::lock_guard lock(mutex_);
      finished_ = true;
      if (!answer) return Finish(End(tl::unexpected(std::move(answer).error())));
      ChargeAnyway(answer->message.Length());
      response_.Swap(&answer->message);
      Finish(End({}));
    });
  }

  void Refuse(const Result<>& refusal) {
    finished_ = true;
    runtime_.CountRefusal(method_, refusal.error().code);
    Finish(End(refusal));
  }

  grpc::ByteBuffer& response_;
  // Recursive: gRPC does not promise that a reaction comes on another thread.
  std::recursive_mutex mutex_;
  // Guarded by mutex_; `messages_` is the worker's once it has been submitted.
  grpc::ByteBuffer incoming_;
  std::vector<grpc::ByteBuffer> messages_;
  bool waiting_ = false;
  SteadyTime waiting_since_;
  bool finished_ = false;
};

}  // namespace

grpc::ServerReadReactor<grpc::ByteBuffer>* StartGatherCall(GrpcRuntime& runtime,
                                                           const GrpcMethod& method,
                                                           grpc::CallbackServerContext& context,
                                                           grpc::ByteBuffer& response) {
  const auto call = std::make_shared<GatherCall>(runtime, method, context, response);
  call->Start();
  return call.get();
}

}  // namespace garrison
