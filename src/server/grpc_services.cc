#include "server/grpc_services.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <tei/v1/tei.grpc.pb.h>

#include <utility>

#include "server/grpc_calls.h"

namespace garrison {
namespace {

namespace pb = ::tei::v1;

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using Stream = grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>;

template <typename Message>
Result<Message> Parse(ByteBuffer& bytes) {
  Message message;
  const grpc::Status parsed = grpc::SerializationTraits<Message>::Deserialize(&bytes, &message);
  if (parsed.ok()) return message;
  return Fail(Code::kInvalidArgument, "expected a {} with texts in UTF-8, got other bytes",
              Message::descriptor()->full_name());
}

// The headers that text-embeddings-inference sends.
void AddHeaders(const pb::Metadata& metadata, const ModelWork& work, GrpcAnswer& answer) {
  const auto add = [&](const char* name, std::uint64_t value) {
    answer.headers.emplace_back(name, std::to_string(value));
  };
  const auto ms = [](std::uint64_t ns) { return ns / 1'000'000; };
  answer.headers.emplace_back("x-compute-type", work.compute);
  add("x-compute-time", ms(metadata.total_time_ns()));
  add("x-compute-characters", metadata.compute_chars());
  add("x-compute-tokens", metadata.compute_tokens());
  add("x-total-time", ms(metadata.total_time_ns()));
  add("x-tokenization-time", ms(metadata.tokenization_time_ns()));
  add("x-queue-time", ms(metadata.queue_time_ns()));
  add("x-inference-time", ms(metadata.inference_time_ns()));
  if (work.truncated > 0) add("x-truncated-inputs", work.truncated);
}

template <typename Message>
Result<GrpcAnswer> Serialize(TeiReply<Message> reply) {
  GrpcAnswer answer;
  for (const std::size_t tokens : reply.work.tokens) answer.tokens += tokens;
  bool own = false;
  const grpc::Status done =
      grpc::SerializationTraits<Message>::Serialize(reply.message, &answer.message, &own);
  if (!done.ok())
    return Fail(Code::kInternal, "the answer cannot be sent: {}", done.error_message());
  if constexpr (requires { reply.message.metadata(); }) {
    AddHeaders(reply.message.metadata(), reply.work, answer);
  }
  return answer;
}

template <typename Request, typename Response>
GrpcMethod Method(const char* name, const TeiGrpc& tei,
                  TeiGrpc::Reply<Response> (TeiGrpc::*answer)(const Request&, const RequestContext&)
                      const) {
  return {name,
          [&tei, answer](std::span<ByteBuffer> messages,
                         const RequestContext& context) -> Result<GrpcAnswer> {
            ASSIGN_OR_RETURN(const Request request, Parse<Request>(messages.front()));
            messages.front().Clear();
            ASSIGN_OR_RETURN(TeiReply<Response> reply, (tei.*answer)(request, context));
            return Serialize(std::move(reply));
          }};
}

GrpcMethod RerankStreamMethod(const TeiGrpc& tei) {
  return {
      "tei.v1.Rerank/RerankStream",
      [&tei](std::span<ByteBuffer> messages, const RequestContext& context) -> Result<GrpcAnswer> {
        std::vector<pb::RerankStreamRequest> requests;
        for (ByteBuffer& message : messages) {
          ASSIGN_OR_RETURN(auto request, Parse<pb::RerankStreamRequest>(message));
          requests.push_back(std::move(request));
          message.Clear();
        }
        ASSIGN_OR_RETURN(auto reply, tei.RerankMessages(requests, context));
        return Serialize(std::move(reply));
      }};
}

// Messages come and go as bytes, so that one that cannot be read is told from the end of a stream.
using InfoBase = pb::Info::WithRawCallbackMethod_Info<pb::Info::Service>;
using EmbedBase = pb::Embed::WithRawCallbackMethod_Embed<
    pb::Embed::WithRawCallbackMethod_EmbedStream<pb::Embed::WithRawCallbackMethod_EmbedSparse<
        pb::Embed::WithRawCallbackMethod_EmbedSparseStream<
            pb::Embed::WithRawCallbackMethod_EmbedAll<
                pb::Embed::WithRawCallbackMethod_EmbedAllStream<pb::Embed::Service>>>>>>;
using PredictBase = pb::Predict::WithRawCallbackMethod_Predict<
    pb::Predict::WithRawCallbackMethod_PredictPair<pb::Predict::WithRawCallbackMethod_PredictStream<
        pb::Predict::WithRawCallbackMethod_PredictPairStream<pb::Predict::Service>>>>;
using RerankBase = pb::Rerank::WithRawCallbackMethod_Rerank<
    pb::Rerank::WithRawCallbackMethod_RerankStream<pb::Rerank::Service>>;
using TokenizeBase = pb::Tokenize::WithRawCallbackMethod_Tokenize<
    pb::Tokenize::WithRawCallbackMethod_TokenizeStream<pb::Tokenize::WithRawCallbackMethod_Decode<
        pb::Tokenize::WithRawCallbackMethod_DecodeStream<pb::Tokenize::Service>>>>;

class InfoService final : public InfoBase {
 public:
  InfoService(const TeiGrpc& tei, GrpcRuntime& runtime)
      : runtime_(runtime), info_(Method("tei.v1.Info/Info", tei, &TeiGrpc::Info)) {
    info_.quick = true;
  }

  grpc::ServerUnaryReactor* Info(CallbackServerContext* context, const ByteBuffer* request,
                                 ByteBuffer* response) override {
    return StartUnaryCall(runtime_, info_, *context, *request, *response);
  }

 private:
  GrpcRuntime& runtime_;
  GrpcMethod info_;
};

class EmbedService final : public EmbedBase {
 public:
  EmbedService(const TeiGrpc& tei, GrpcRuntime& runtime)
      : runtime_(runtime),
        embed_(Method("tei.v1.Embed/Embed", tei, &TeiGrpc::Embed)),
        embed_stream_(Method("tei.v1.Embed/EmbedStream", tei, &TeiGrpc::Embed)),
        sparse_(Method("tei.v1.Embed/EmbedSparse", tei, &TeiGrpc::EmbedSparse)),
        sparse_stream_(Method("tei.v1.Embed/EmbedSparseStream", tei, &TeiGrpc::EmbedSparse)),
        all_(Method("tei.v1.Embed/EmbedAll", tei, &TeiGrpc::EmbedAll)),
        all_stream_(Method("tei.v1.Embed/EmbedAllStream", tei, &TeiGrpc::EmbedAll)) {}

  grpc::ServerUnaryReactor* Embed(CallbackServerContext* context, const ByteBuffer* request,
                                  ByteBuffer* response) override {
    return StartUnaryCall(runtime_, embed_, *context, *request, *response);
  }
  Stream* EmbedStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, embed_stream_, *context);
  }
  grpc::ServerUnaryReactor* EmbedSparse(CallbackServerContext* context, const ByteBuffer* request,
                                        ByteBuffer* response) override {
    return StartUnaryCall(runtime_, sparse_, *context, *request, *response);
  }
  Stream* EmbedSparseStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, sparse_stream_, *context);
  }
  grpc::ServerUnaryReactor* EmbedAll(CallbackServerContext* context, const ByteBuffer* request,
                                     ByteBuffer* response) override {
    return StartUnaryCall(runtime_, all_, *context, *request, *response);
  }
  Stream* EmbedAllStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, all_stream_, *context);
  }

 private:
  GrpcRuntime& runtime_;
  const GrpcMethod embed_, embed_stream_, sparse_, sparse_stream_, all_, all_stream_;
};

class PredictService final : public PredictBase {
 public:
  PredictService(const TeiGrpc& tei, GrpcRuntime& runtime)
      : runtime_(runtime),
        predict_(Method("tei.v1.Predict/Predict", tei, &TeiGrpc::Predict)),
        pair_(Method("tei.v1.Predict/PredictPair", tei, &TeiGrpc::PredictPair)),
        predict_stream_(Method("tei.v1.Predict/PredictStream", tei, &TeiGrpc::Predict)),
        pair_stream_(Method("tei.v1.Predict/PredictPairStream", tei, &TeiGrpc::PredictPair)) {}

  grpc::ServerUnaryReactor* Predict(CallbackServerContext* context, const ByteBuffer* request,
                                    ByteBuffer* response) override {
    return StartUnaryCall(runtime_, predict_, *context, *request, *response);
  }
  grpc::ServerUnaryReactor* PredictPair(CallbackServerContext* context, const ByteBuffer* request,
                                        ByteBuffer* response) override {
    return StartUnaryCall(runtime_, pair_, *context, *request, *response);
  }
  Stream* PredictStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, predict_stream_, *context);
  }
  Stream* PredictPairStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, pair_stream_, *context);
  }

 private:
  GrpcRuntime& runtime_;
  const GrpcMethod predict_, pair_, predict_stream_, pair_stream_;
};

class RerankService final : public RerankBase {
 public:
  RerankService(const TeiGrpc& tei, GrpcRuntime& runtime)
      : runtime_(runtime),
        rerank_(Method("tei.v1.Rerank/Rerank", tei, &TeiGrpc::Rerank)),
        rerank_stream_(RerankStreamMethod(tei)) {}

  grpc::ServerUnaryReactor* Rerank(CallbackServerContext* context, const ByteBuffer* request,
                                   ByteBuffer* response) override {
    return StartUnaryCall(runtime_, rerank_, *context, *request, *response);
  }
  grpc::ServerReadReactor<ByteBuffer>* RerankStream(CallbackServerContext* context,
                                                    ByteBuffer* response) override {
    return StartGatherCall(runtime_, rerank_stream_, *context, *response);
  }

 private:
  GrpcRuntime& runtime_;
  const GrpcMethod rerank_, rerank_stream_;
};

class TokenizeService final : public TokenizeBase {
 public:
  TokenizeService(const TeiGrpc& tei, GrpcRuntime& runtime)
      : runtime_(runtime),
        tokenize_(Method("tei.v1.Tokenize/Tokenize", tei, &TeiGrpc::Tokenize)),
        tokenize_stream_(Method("tei.v1.Tokenize/TokenizeStream", tei, &TeiGrpc::Tokenize)),
        decode_(Method("tei.v1.Tokenize/Decode", tei, &TeiGrpc::Decode)),
        decode_stream_(Method("tei.v1.Tokenize/DecodeStream", tei, &TeiGrpc::Decode)) {}

  grpc::ServerUnaryReactor* Tokenize(CallbackServerContext* context, const ByteBuffer* request,
                                     ByteBuffer* response) override {
    return StartUnaryCall(runtime_, tokenize_, *context, *request, *response);
  }
  Stream* TokenizeStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, tokenize_stream_, *context);
  }
  grpc::ServerUnaryReactor* Decode(CallbackServerContext* context, const ByteBuffer* request,
                                   ByteBuffer* response) override {
    return StartUnaryCall(runtime_, decode_, *context, *request, *response);
  }
  Stream* DecodeStream(CallbackServerContext* context) override {
    return StartStreamCall(runtime_, decode_stream_, *context);
  }

 private:
  GrpcRuntime& runtime_;
  const GrpcMethod tokenize_, tokenize_stream_, decode_, decode_stream_;
};

}  // namespace

std::vector<GrpcService> MakeTeiServices(const TeiGrpc& tei, GrpcRuntime& runtime) {
  std::vector<GrpcService> services;
  services.push_back({pb::Info::service_full_name(), std::make_unique<InfoService>(tei, runtime)});
  services.push_back(
      {pb::Embed::service_full_name(), std::make_unique<EmbedService>(tei, runtime)});
  services.push_back(
      {pb::Predict::service_full_name(), std::make_unique<PredictService>(tei, runtime)});
  services.push_back(
      {pb::Rerank::service_full_name(), std::make_unique<RerankService>(tei, runtime)});
  services.push_back(
      {pb::Tokenize::service_full_name(), std::make_unique<TokenizeService>(tei, runtime)});
  return services;
}

}  // namespace garrison
