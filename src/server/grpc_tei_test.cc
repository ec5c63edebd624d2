#include "server/grpc_tei.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/test_embedder.h"
#include "core/test_reranker.h"
#include "guard/memory_conversations.h"
#include "guard/monitor.h"
#include "guard/sessions.h"

namespace garrison {
namespace {

namespace pb = ::tei::v1;

// One model behind the gateway and TeiGrpc.
class Front {
 public:
  template <typename Port>
  explicit Front(std::shared_ptr<Port> model)
      : models_(std::shared_ptr<const Port>(std::move(model))),
        monitor_(GuardMonitor::Create(anchors_, settings_.guard, std::nullopt).value()),
        sessions_(settings_.guard, settings_.limits, monitor_->provenance(), conversations_, clock_,
                  [] { return std::string("c"); }),
        gateway_(models_, *monitor_, sessions_, settings_, clock_),
        tei_(
            gateway_, metrics_, clock_,
            {.concurrent_requests = 7, .inputs_per_request = 3, .input_bytes = 100, .threads = 2}) {
  }

  const TeiGrpc& operator*() const { return tei_; }
  const TeiGrpc* operator->() const { return &tei_; }
  std::string MetricsText() const { return metrics_.Text(); }

  RequestContext context;

 private:
  Settings settings_;
  ManualClock clock_;
  TestEmbedder anchors_;
  TestModels models_;
  std::unique_ptr<GuardMonitor> monitor_;
  MemoryConversations conversations_{1'000, clock_};
  GuardSessions sessions_;
  Gateway gateway_;
  Metrics metrics_;
  TeiGrpc tei_;
};

template <typename T>
std::string Failure(const Result<T>& result) {
  return result ? "" : result.error().ToString();
}

TEST(GrpcTei, EmbedGivesTheVectorAndWhereTheTimeWent) {
  const Front front(std::make_shared<TestEmbedder>());
  pb::EmbedRequest request;
  request.set_inputs("añb");
  request.set_dimensions(2);
  const auto reply = front->Embed(request, front.context);
  ASSERT_TRUE(reply) << Failure(reply);
  ASSERT_EQ(reply->message.embeddings_size(), 2);
  EXPECT_GT(reply->message.embeddings(0), 0.7);
  EXPECT_EQ(reply->message.metadata().compute_chars(), 3u);
  EXPECT_EQ(reply->message.metadata().compute_tokens(), 2u);
  EXPECT_EQ(reply->work.compute, "cpu-f32");
  EXPECT_NE(front.MetricsText().find("garrison_embed_tokens_total 2"), std::string::npos);
}

TEST(GrpcTei, ErrorsNameTheFieldsOfTheMessage) {
  const Front front(std::make_shared<TestEmbedder>());
  pb::EmbedRequest embed;
  embed.set_inputs("!");
  EXPECT_EQ(Failure(front->Embed(embed, front.context)), "INVALID_ARGUMENT: inputs: no letters");
  embed.set_truncation_direction(static_cast<pb::TruncationDirection>(7));
  EXPECT_NE(Failure(front->Embed(embed, front.context)).find("truncation_direction: expected"),
            std::string::npos);
  embed.clear_truncation_direction();
  embed.set_prompt_name("");
  EXPECT_NE(Failure(front->Embed(embed, front.context)).find("prompt_name: expected"),
            std::string::npos);
  EXPECT_EQ(front->EmbedSparse({}, front.context).error().code, Code::kUnimplemented);
  EXPECT_EQ(front->EmbedAll({}, front.context).error().code, Code::kUnimplemented);
  pb::PredictRequest predict;
  predict.set_inputs("a");
  EXPECT_EQ(front->Predict(predict, front.context).error().code, Code::kFailedPrecondition);
}

TEST(GrpcTei, ARequestThatIsOverIsNotComputed) {
  const Front front(std::make_shared<TestEmbedder>());
  std::stop_source stop;
  stop.request_stop();
  const RequestContext gone{"id", SteadyTime::max(), stop.get_token()};
  pb::EmbedRequest embed;
  embed.set_inputs("a");
  EXPECT_EQ(front->Embed(embed, gone).error().code, Code::kCancelled);
  pb::EncodeRequest encode;
  encode.set_inputs("a");
  EXPECT_EQ(front->Tokenize(encode, gone).error().code, Code::kCancelled);
}

TEST(GrpcTei, PredictSortsTheLabels) {
  const Front front(std::make_shared<TestClassifier>());
  pb::PredictRequest request;
  request.set_inputs("abbc c c");
  request.set_raw_scores(true);
  const auto raw = front->Predict(request, front.context);
  ASSERT_TRUE(raw) << Failure(raw);
  ASSERT_EQ(raw->message.predictions_size(), 3);
  EXPECT_EQ(raw->message.predictions(0).label(), "\"c\"");
  EXPECT_EQ(raw->message.predictions(0).score(), 3);
  EXPECT_EQ(raw->message.predictions(2).label(), "a");
  request.set_raw_scores(false);
  const auto scores = front->Predict(request, front.context);
  float sum = 0;
  for (const pb::Prediction& prediction : scores->message.predictions()) sum += prediction.score();
  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST(GrpcTei, PredictPairTakesOneTextOrTwo) {
  const Front front(std::make_shared<TestClassifier>());
  pb::PredictPairRequest request;
  EXPECT_NE(Failure(front->PredictPair(request, front.context)).find("got 0"), std::string::npos);
  request.set_raw_scores(true);
  request.add_inputs("b");
  EXPECT_EQ(front->PredictPair(request, front.context)->message.predictions(0).score(), 1);
  request.add_inputs("bb");
  const auto pair = front->PredictPair(request, front.context);
  EXPECT_EQ(pair->message.predictions(0).score(), 3);
  EXPECT_EQ(pair->message.metadata().compute_chars(), 3u);
  request.add_inputs("b");
  EXPECT_NE(Failure(front->PredictPair(request, front.context)).find("got 3"), std::string::npos);
}

// Unset, `truncate` leaves it to the settings, which refuse; nothing is cut off in silence.
TEST(GrpcTei, TruncateIsNeverSilent) {
  const Front front(std::make_shared<TestClassifier>());
  pb::PredictRequest request;
  request.set_inputs(std::string(kTestTokensMax, 'a') + "bbb");
  EXPECT_EQ(Failure(front->Predict(request, front.context)),
            "INVALID_ARGUMENT: inputs: 43 letters are more than 40");
  request.set_truncate(true);
  request.set_raw_scores(true);
  EXPECT_EQ(front->Predict(request, front.context)->message.predictions(0).score(), 40);
  request.set_truncation_direction(pb::TRUNCATION_DIRECTION_LEFT);
  EXPECT_EQ(front->Predict(request, front.context)->message.predictions(0).score(), 37);
}

TEST(GrpcTei, RerankSortsAndNamesTheText) {
  const Front front(std::make_shared<TestReranker>());
  pb::RerankRequest request;
  request.set_query("abc");
  EXPECT_EQ(Failure(front->Rerank(request, front.context)),
            "INVALID_ARGUMENT: texts: expected at least one text, got none");
  for (const char* text : {"xyz", "abc", "a"}) request.add_texts(text);
  request.set_return_text(true);
  request.set_raw_scores(true);
  const auto reply = front->Rerank(request, front.context);
  ASSERT_TRUE(reply) << Failure(reply);
  std::vector<std::uint32_t> order;
  for (const pb::Rank& rank : reply->message.ranks()) {
    order.push_back(rank.index());
    EXPECT_EQ(rank.text(), request.texts(static_cast<int>(rank.index())));
  }
  EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 2, 0}));
  EXPECT_EQ(reply->message.metadata().compute_chars(), 3u * 3 + 7);
  request.set_texts(1, "!");
  EXPECT_EQ(Failure(front->Rerank(request, front.context)),
            "INVALID_ARGUMENT: texts[1]: no letters");
}

TEST(GrpcTei, MessagesOfARerankStreamMayHaveDifferentQueries) {
  const Front front(std::make_shared<TestReranker>());
  EXPECT_EQ(front->RerankMessages({}, front.context).error().code, Code::kInvalidArgument);
  std::vector<pb::RerankStreamRequest> messages(3);
  const char* queries[] = {"abc", "xyz", "abc"};
  const char* texts[] = {"a", "xyz", "ab"};
  for (std::size_t i = 0; i < 3; ++i) {
    messages[i].set_query(queries[i]);
    messages[i].set_text(texts[i]);
  }
  messages[0].set_raw_scores(true);
  const auto reply = front->RerankMessages(messages, front.context);
  ASSERT_TRUE(reply) << Failure(reply);
  ASSERT_EQ(reply->message.ranks_size(), 3);
  EXPECT_EQ(reply->message.ranks(0).index(), 1u);
  EXPECT_EQ(reply->message.ranks(0).score(), 0);
  EXPECT_FALSE(reply->message.ranks(0).has_text());
  EXPECT_EQ(reply->message.ranks(1).index(), 2u);
  EXPECT_EQ(reply->message.ranks(2).index(), 0u);
  messages[2].set_text("!");
  EXPECT_EQ(Failure(front->RerankMessages(messages, front.context)),
            "INVALID_ARGUMENT: message 3: text: no letters");
}

TEST(GrpcTei, InfoIsAboutTheDefaultModel) {
  const Front embeds(std::make_shared<TestEmbedder>());
  const pb::InfoResponse info = embeds->Info({}, embeds.context)->message;
  EXPECT_EQ(info.model_id(), "test:letters");
  EXPECT_EQ(info.model_sha(), "r1");
  EXPECT_EQ(info.model_type(), pb::MODEL_TYPE_EMBEDDING);
  EXPECT_EQ(info.max_concurrent_requests(), 7u);
  EXPECT_EQ(info.max_client_batch_size(), 3u);
  EXPECT_EQ(info.tokenization_workers(), 2u);
  EXPECT_FALSE(info.version().empty());
  const Front reranks(std::make_shared<TestReranker>());
  EXPECT_EQ(reranks->Info({}, reranks.context)->message.model_type(), pb::MODEL_TYPE_RERANKER);
  EXPECT_EQ(reranks->Info({}, reranks.context)->message.max_input_length(), kTestTokensMax);
  const Front classifies(std::make_shared<TestClassifier>());
  EXPECT_EQ(classifies->Info({}, classifies.context)->message.model_type(),
            pb::MODEL_TYPE_CLASSIFIER);
}

TEST(GrpcTei, TokenizeAndDecodeRefuseWhatIsEmptyOrOutOfRange) {
  const Front front(std::make_shared<TestEmbedder>());
  EXPECT_EQ(Failure(front->Tokenize({}, front.context)),
            "INVALID_ARGUMENT: inputs: expected a text, got an empty one");
  pb::EncodeRequest encode;
  encode.set_inputs("a");
  EXPECT_EQ(front->Tokenize(encode, front.context).error().code, Code::kFailedPrecondition);
  encode.set_prompt_name("");
  EXPECT_EQ(front->Tokenize(encode, front.context).error().where, "prompt_name");
  pb::DecodeRequest decode;
  EXPECT_EQ(front->Decode(decode, front.context).error().where, "ids");
  decode.add_ids(1);
  decode.add_ids(3'000'000'000);
  EXPECT_EQ(front->Decode(decode, front.context).error().where, "ids[1]");
}

}  // namespace
}  // namespace garrison
