#include "server/grpc_call_base.h"
#include "server/grpc_calls.h"

namespace garrison {
namespace {

class UnaryCall final : public grpc::ServerUnaryReactor, public GrpcCallBase {
 public:
  UnaryCall(GrpcRuntime& runtime, const GrpcMethod& method, grpc::CallbackServerContext& context,
            const grpc::ByteBuffer& request, grpc::ByteBuffer& response)
      : GrpcCallBase(runtime, method, context), request_(request), response_(response) {}

  void Start() {
    Result<> accepted = Accept();
    if (accepted) return;
    runtime_.CountRefusal(method_, accepted.error().code);
    Finish(End(accepted));
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { Leave(); }
  void Sweep(SteadyTime now, bool) override { SweepEnd(now); }

 private:
  // Hands the message to a worker; then the call finishes itself.
  Result<> Accept() {
    RETURN_IF_ERROR(Enter());
    RETURN_IF_ERROR(Charge(request_.Length()));
    auto work = [this, context = MakeContext()] { Work(context); };
    if (!method_.quick) return runtime_.Submit(std::move(work));
    work();
    return {};
  }

  void Work(const RequestContext& context) {
    Result<GrpcAnswer> answer = runtime_.Answer(method_, {&request_, 1}, context);
    if (!answer) return Finish(End(tl::unexpected(std::move(answer).error())));
    for (auto& [name, value] : answer->headers) {
      context_.AddInitialMetadata(name, std::move(value));
    }
    ChargeAnyway(answer->message.Length());
    response_.Swap(&answer->message);
    Finish(End({}));
  }

  grpc::ByteBuffer request_;
  grpc::ByteBuffer& response_;
};

}  // namespace

grpc::ServerUnaryReactor* StartUnaryCall(GrpcRuntime& runtime, const GrpcMethod& method,
                                         grpc::CallbackServerContext& context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer& response) {
  const auto call = std::make_shared<UnaryCall>(runtime, method, context, request, response);
  call->Start();
  return call.get();
}

}  // namespace garrison
