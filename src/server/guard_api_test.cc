// The routes of guarded conversations, below HTTP and above nothing: real sessions in memory.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/hash.h"
#include "core/test_embedder.h"
#include "guard/memory_conversations.h"
#include "server/api.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

class GuardApiTest : public testing::Test {
 protected:
  GuardApiTest()
      : monitor_(GuardMonitor::Create(models_.embedder(), settings_.guard, std::nullopt).value()),
        sessions_(settings_.guard, settings_.limits, monitor_->provenance(), conversations_, clock_,
                  [this] { return fmt::format("fresh-{}", ++ids_); }),
        gateway_(models_, *monitor_, sessions_, settings_, clock_),
        access_(settings_.server, Keys(), clock_),
        api_(
            gateway_, chat_, metrics_, access_, nullptr, tracer_, settings_, clock_, *logger_,
            [] { return std::string("request-1"); }, 1) {}

  static std::shared_ptr<const KeyRing> Keys() {
    auto ring = std::make_shared<KeyRing>();
    for (const char* name : {"alice", "bob"}) {
      EXPECT_TRUE(ring->Add({.name = name, .sha256 = Sha256Hex(name), .scopes = {Scope::kEmbed}}));
    }
    return ring;
  }

  class Writer final : public ResponseWriter {
   public:
    explicit Writer(std::optional<HttpResponse>& out) : out_(out) {}
    void Send(HttpResponse response) override { out_ = std::move(response); }
    std::unique_ptr<BodyStream> Stream(HttpResponse) override { return nullptr; }

   private:
    std::optional<HttpResponse>& out_;
  };

  // The key of alice, unless another header says otherwise.
  HttpResponse Call(std::string method, std::string path, const Json& body = nullptr,
                    std::vector<HttpHeader> headers = {}) {
    HttpRequest request;
    request.method = std::move(method);
    if (const std::size_t question = path.find('?'); question != std::string::npos) {
      request.query = path.substr(question + 1);
      path.resize(question);
    }
    request.path = std::move(path);
    if (!body.is_null()) request.body = body.dump();
    request.headers = std::move(headers);
    request.headers.push_back({"X-API-Key", "alice"});
    std::optional<HttpResponse> response;
    api_.Handle(std::move(request), std::make_unique<Writer>(response));
    return response.value();
  }
  static std::vector<HttpHeader> As(const char* who) { return {{"X-API-Key", who}}; }
  static Json Turn(const std::string& id, Json fields = Json::object()) {
    Json turn = {{"user_message", "hello"}, {"model_message", "hi"}, {"conversation_id", id}};
    turn.update(fields);
    return turn;
  }
  static std::string CodeOf(const HttpResponse& response) {
    return Json::parse(response.body)["error"]["code"];
  }
  static std::string Header(const HttpResponse& response, std::string_view name) {
    return std::string(FindHeader(response.headers, name));
  }

  Settings settings_;
  ManualClock clock_;
  TestCatalog models_;
  std::unique_ptr<GuardMonitor> monitor_;
  MemoryConversations conversations_{1'000, clock_};
  int ids_ = 0;
  GuardSessions sessions_;
  Gateway gateway_;
  ChatGateway chat_{nullptr, settings_.limits, clock_};
  Metrics metrics_;
  Access access_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  Tracer tracer_{{}, nullptr, *logger_};
  Api api_;
};

TEST_F(GuardApiTest, TurnsOutOfOrderAre409AndSayWhatWasExpected) {
  EXPECT_EQ(Call("POST", "/check-safety", Turn("c", {{"turn", 1}})).status, 200);
  for (const int wrong : {1, 3}) {
    const HttpResponse refused = Call("POST", "/check-safety", Turn("c", {{"turn", wrong}}));
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(CodeOf(refused), "turn_out_of_order");
    EXPECT_NE(refused.body.find("expected turn 2 of this conversation"), std::string::npos);
  }
  EXPECT_EQ(Call("POST", "/check-safety", Turn("c", {{"turn", 2}})).status, 200);
  for (const Json& wrong : {Json(0), Json(-1), Json("1"), Json(1.5), Json(5'000'000'000)}) {
    const HttpResponse refused = Call("POST", "/check-safety", Turn("c", {{"turn", wrong}}));
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(Json::parse(refused.body)["error"]["param"], "turn");
  }
}

TEST_F(GuardApiTest, TheSameKeyAgainIsTheSameAnswer) {
  const Json turn = Turn("c", {{"turn", 1}, {"idempotency_key", "k-1"}});
  const HttpResponse first = Call("POST", "/check-safety", turn);
  const HttpResponse again = Call("POST", "/check-safety", turn);
  ASSERT_EQ(again.status, 200);
  EXPECT_EQ(Header(first, "Idempotent-Replayed"), "");
  EXPECT_EQ(Header(again, "Idempotent-Replayed"), "true");
  EXPECT_EQ(again.body, first.body);
  // The header is the same as the field, quoted or not.
  for (const char* header : {"k-1", "\"k-1\""}) {
    const HttpResponse by_header =
        Call("POST", "/check-safety", Turn("c"), {{"idempotency-key", header}});
    EXPECT_EQ(by_header.body, first.body) << header;
  }
  EXPECT_EQ(Call("POST", "/check-safety", turn, {{"Idempotency-Key", "k-2"}}).status, 400);
  Json other = turn;
  other["model_message"] = "something else";
  const HttpResponse reused = Call("POST", "/check-safety", other);
  EXPECT_EQ(reused.status, 409);
  EXPECT_EQ(CodeOf(reused), "idempotency_key_reused");
  EXPECT_NE(metrics_.Text().find("garrison_guard_turns_total{action=\"allow\"} 1"),
            std::string::npos);
}

TEST_F(GuardApiTest, GetAndDelete) {
  Call("POST", "/check-safety", Turn("c/1 x", {{"idempotency_key", "k-1"}}));
  const Json second = Json::parse(Call("POST", "/check-safety", Turn("c/1 x")).body);
  const HttpResponse response = Call("GET", "/v1/guard/conversations/c/1 x");
  ASSERT_EQ(response.status, 200) << response.body;
  const Json body = Json::parse(response.body);
  EXPECT_EQ(body["conversation_id"], "c/1 x");
  EXPECT_EQ(body["turns"], 2);
  EXPECT_EQ(body["created_ms"], 1'767'225'600'000);
  EXPECT_EQ(body["expires_ms"], 1'767'225'600'000 + 3'600'000);
  ASSERT_EQ(body["recent"].size(), 2u);
  EXPECT_EQ(body["recent"][0]["idempotency_key"], "k-1");
  for (const char* field : {"turn", "likelihood", "R_user", "alerts", "action", "quadrant"}) {
    EXPECT_EQ(body["recent"][1][field], second[field]) << field;
  }
  EXPECT_EQ(Call("DELETE", "/v1/guard/conversations/c/1 x").status, 200);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/c/1 x").status, 404);
  EXPECT_EQ(Call("DELETE", "/v1/guard/conversations/c/1 x").status, 404);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/").status, 400);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations//export").status, 400);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/" + std::string(129, 'x')).status, 400);
  EXPECT_EQ(Call("POST", "/v1/guard/conversations/c").status, 405);
}

TEST_F(GuardApiTest, AnotherTenantsIdIsLikeOneThatWasNeverThere) {
  Call("POST", "/check-safety", Turn("secret"));
  const Json exported = Json::parse(Call("GET", "/v1/guard/conversations/secret/export").body);
  for (const char* method : {"GET", "DELETE"}) {
    const HttpResponse others = Call(method, "/v1/guard/conversations/secret", nullptr, As("bob"));
    const HttpResponse nobodys = Call(method, "/v1/guard/conversations/none", nullptr, As("bob"));
    EXPECT_EQ(others.status, 404);
    EXPECT_EQ(others.body, nobodys.body);
  }
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/secret/export", nullptr, As("bob")).status, 404);
  // Neither a turn nor an import under the id meets it.
  const HttpResponse begun = Call("POST", "/check-safety", Turn("secret"), As("bob"));
  EXPECT_EQ(Json::parse(begun.body)["turn"], 1);
  EXPECT_EQ(Call("DELETE", "/v1/guard/conversations/secret", nullptr, As("bob")).status, 200);
  EXPECT_EQ(Call("PUT", "/v1/guard/conversations/secret", exported, As("bob")).status, 200);
  EXPECT_EQ(Json::parse(Call("GET", "/v1/guard/conversations/secret").body)["turns"], 1);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/secret", nullptr, As("mallory")).status, 401);
}

TEST_F(GuardApiTest, ExportAndImport) {
  for (int i = 0; i < 3; ++i) Call("POST", "/check-safety", Turn("c"));
  const Json exported = Json::parse(Call("GET", "/v1/guard/conversations/c/export").body);
  EXPECT_EQ(exported["format"], "garrison-guard-conversation");
  EXPECT_EQ(exported.dump().find("alice"), std::string::npos);
  const HttpResponse refused = Call("PUT", "/v1/guard/conversations/c", exported);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(Call("PUT", "/v1/guard/conversations/c?replace=maybe", exported).status, 400);
  EXPECT_EQ(Call("PUT", "/v1/guard/conversations/c?x=1&replace=true", exported).status, 200);
  const Json fourth = Json::parse(Call("POST", "/check-safety", Turn("c")).body);
  Call("DELETE", "/v1/guard/conversations/c");
  const HttpResponse taken = Call("PUT", "/v1/guard/conversations/c", exported);
  ASSERT_EQ(taken.status, 200) << taken.body;
  EXPECT_EQ(Json::parse(taken.body)["turns"], 3);
  EXPECT_EQ(Json::parse(Call("POST", "/check-safety", Turn("c")).body), fourth);
}

TEST_F(GuardApiTest, HalfAnImportAndOneOfAnotherEmbedderAreRefused) {
  Call("POST", "/check-safety", Turn("c"));
  const std::string text = Call("GET", "/v1/guard/conversations/c/export").body;
  Call("DELETE", "/v1/guard/conversations/c");
  HttpRequest request;
  request.method = "PUT";
  request.path = "/v1/guard/conversations/c";
  request.body = text.substr(0, text.size() / 2);
  request.headers = As("alice");
  std::optional<HttpResponse> response;
  api_.Handle(request, std::make_unique<Writer>(response));
  EXPECT_EQ(response->status, 400);
  Json other = Json::parse(text);
  other["provenance_sha256"] = std::string(64, 'a');
  const HttpResponse refused = Call("PUT", "/v1/guard/conversations/c", other);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(CodeOf(refused), "FAILED_PRECONDITION");
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/c").status, 404);
}

TEST_F(GuardApiTest, ABatchAnswersEachItemInOrder) {
  const Json items = {{"items",
                       {Turn("c", {{"turn", 1}}),
                        Turn("c", {{"turn", 3}}),
                        Turn("c", {{"turn", 2}}),
                        Turn("d", {{"idempotency_key", "k"}}),
                        Turn("d", {{"idempotency_key", "k"}}),
                        Turn("bad\n"),
                        {{"user_message", "a"}, {"model_message", "b"}}}}};
  const HttpResponse response = Call("POST", "/v1/guard/check-batch", items);
  ASSERT_EQ(response.status, 200) << response.body;
  const Json answers = Json::parse(response.body)["items"];
  ASSERT_EQ(answers.size(), 7u);
  EXPECT_EQ(answers[0]["http_status"], 200);
  EXPECT_EQ(answers[0]["status"], "Normal");
  EXPECT_EQ(answers[0]["turn"], 1);
  EXPECT_EQ(answers[1]["http_status"], 409);
  EXPECT_EQ(answers[1]["error"]["code"], "turn_out_of_order");
  EXPECT_EQ(answers[2]["turn"], 2);
  EXPECT_EQ(answers[3]["turn"], 1);
  EXPECT_EQ(answers[4]["turn"], 1);
  EXPECT_EQ(answers[5]["http_status"], 400);
  EXPECT_EQ(answers[5]["error"]["param"], "conversation_id");
  EXPECT_EQ(answers[6]["conversation_id"], "fresh-1");
  // A key for all of them would be none of theirs.
  const HttpResponse keyed =
      Call("POST", "/v1/guard/check-batch", items, {{"Idempotency-Key", "k"}});
  EXPECT_EQ(keyed.status, 400);
  EXPECT_EQ(Json::parse(keyed.body)["error"]["param"], "idempotency_key");
  // As one by one.
  Call("DELETE", "/v1/guard/conversations/c");
  const Json alone = Json::parse(Call("POST", "/check-safety", Turn("c")).body);
  for (const char* field : {"R_model", "R_user", "likelihood", "agreement", "action"}) {
    EXPECT_EQ(answers[0][field], alone[field]) << field;
  }
}

TEST_F(GuardApiTest, APreviewTakesNothingAndNeedsNoKey) {
  const Json preview = Turn("c", {{"preview", true}});
  const HttpResponse first = Call("POST", "/check-safety", preview, {{"Idempotency-Key", "k"}});
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(Json::parse(first.body)["preview"], true);
  EXPECT_EQ(Json::parse(first.body)["turn"], 1);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/c").status, 404);
  Json keyed = preview;
  keyed["idempotency_key"] = "k";
  EXPECT_EQ(Call("POST", "/check-safety", keyed).status, 400);
  Json fresh = preview;
  fresh.erase("conversation_id");
  EXPECT_TRUE(Json::parse(Call("POST", "/check-safety", fresh).body)["conversation_id"].is_null());
}

TEST_F(GuardApiTest, OneTextThatCannotBeEmbeddedCostsItsOwnItemOnly) {
  const Json items = {{"items",
                       {Turn("a"), Turn("b", {{"user_message", "!"}}),
                        Turn("c", {{"model_message", "..."}}), Turn("d")}}};
  const Json answers = Json::parse(Call("POST", "/v1/guard/check-batch", items).body)["items"];
  EXPECT_EQ(answers[0]["turn"], 1);
  EXPECT_EQ(answers[1]["error"]["param"], "user_message");
  EXPECT_EQ(answers[2]["error"]["param"], "model_message");
  EXPECT_EQ(answers[3]["turn"], 1);
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/b").status, 404);
}

TEST_F(GuardApiTest, ABatchThatIsNoneIsRefusedAsAWhole) {
  const auto refused = [&](const Json& body, const std::string& param) {
    const HttpResponse response = Call("POST", "/v1/guard/check-batch", body);
    EXPECT_EQ(response.status, 400) << body;
    const Json error = Json::parse(response.body)["error"];
    EXPECT_EQ(error["param"].is_null() ? "" : error["param"].get<std::string>(), param);
  };
  refused(Json::array(), "");
  refused(Json::object(), "items");
  refused({{"items", Json::array()}}, "items");
  refused({{"items", "x"}}, "items");
  refused({{"items", {Turn("a"), 5}}}, "items[1]");
  refused({{"items", {Turn("a"), Turn("b", {{"turn", "x"}})}}}, "items[1].turn");
  EXPECT_EQ(Call("GET", "/v1/guard/conversations/a").status, 404);
  refused({{"items", std::vector<Json>(1'025, Turn("a"))}}, "items");
}

}  // namespace
}  // namespace garrison
