// What the methods of text-embeddings-inference mean here: each turns one message into calls of the
// gateway and back. docs/grpc.md says what every field does.
#pragma once

#include <tei/v1/tei.pb.h>

#include <cstddef>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "core/request_context.h"
#include "gateway/gateway.h"
#include "server/metrics.h"

namespace garrison {

// What Info says about the server.
struct TeiLimits {
  std::size_t concurrent_requests = 0;
  std::size_t inputs_per_request = 0;
  std::size_t input_bytes = 0;
  std::size_t threads = 0;  // that tokenise
};

template <typename Message>
struct TeiReply {
  Message message;
  ModelWork work;  // Job::kNone when no model computed
};

// Thread-safe. What it is made of must outlive it. Errors name fields as the messages do.
class TeiGrpc {
 public:
  template <typename Message>
  using Reply = Result<TeiReply<Message>>;

  TeiGrpc(const Gateway& gateway, Metrics& metrics, const Clock& clock, const TeiLimits& limits);

  Reply<tei::v1::InfoResponse> Info(const tei::v1::InfoRequest& request,
                                    const RequestContext& context) const;
  Reply<tei::v1::EmbedResponse> Embed(const tei::v1::EmbedRequest& request,
                                      const RequestContext& context) const;
  Reply<tei::v1::EmbedSparseResponse> EmbedSparse(const tei::v1::EmbedSparseRequest& request,
                                                  const RequestContext& context) const;
  Reply<tei::v1::EmbedAllResponse> EmbedAll(const tei::v1::EmbedAllRequest& request,
                                            const RequestContext& context) const;
  Reply<tei::v1::PredictResponse> Predict(const tei::v1::PredictRequest& request,
                                          const RequestContext& context) const;
  Reply<tei::v1::PredictResponse> PredictPair(const tei::v1::PredictPairRequest& request,
                                              const RequestContext& context) const;
  Reply<tei::v1::RerankResponse> Rerank(const tei::v1::RerankRequest& request,
                                        const RequestContext& context) const;
  // All messages of one RerankStream.
  Reply<tei::v1::RerankResponse> RerankMessages(
      std::span<const tei::v1::RerankStreamRequest> messages, const RequestContext& context) const;
  Reply<tei::v1::EncodeResponse> Tokenize(const tei::v1::EncodeRequest& request,
                                          const RequestContext& context) const;
  Reply<tei::v1::DecodeResponse> Decode(const tei::v1::DecodeRequest& request,
                                        const RequestContext& context) const;

 private:
  Reply<tei::v1::PredictResponse> Classify(const SequenceInput& input, std::size_t characters,
                                           const LongInputChoice& choice, bool raw_scores,
                                           const RequestContext& context) const;
  // Counts what the gateway answered and notes it in `work`.
  template <typename GatewayReply, typename Answer>
  Result<GatewayReply> Count(Result<GatewayReply> reply, Answer GatewayReply::* answer,
                             SteadyTime start, ModelWork& work) const;
  void FillMetadata(const ModelWork& work, SteadyTime start, tei::v1::Metadata& metadata) const;

  const Gateway& gateway_;
  Metrics& metrics_;
  const Clock& clock_;
  const TeiLimits limits_;
};

}  // namespace garrison
