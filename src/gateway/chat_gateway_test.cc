#include "gateway/chat_gateway.h"

#include <gtest/gtest.h>

#include "gateway/test_chat.h"

namespace garrison {
namespace {

ChatRequest Asking(std::string text, std::string model = "") {
  ChatRequest request;
  request.model = std::move(model);
  request.messages.push_back({ChatRole::kUser, {{ChatText{std::move(text)}}}});
  return request;
}

class ChatGatewayTest : public testing::Test {
 protected:
  Result<std::shared_ptr<const ChatModel>> Admit(const ChatRequest& request) const {
    return ChatGateway(&catalog_, limits_, clock_).Admit(request, {});
  }

  LimitSettings limits_;
  ManualClock clock_;
  TestChatCatalog catalog_;
};

TEST_F(ChatGatewayTest, FindsTheModelThatIsAskedFor) {
  EXPECT_EQ(Admit(Asking("hi")).value()->id(), "test/echo");
  EXPECT_EQ(Admit(Asking("hi", "echo")).value()->id(), "test/echo");
  EXPECT_EQ(Admit(Asking("hi", "gpt-9")).error().code, Code::kNotFound);
}

TEST_F(ChatGatewayTest, WithoutModelsItSaysWhatToSet) {
  catalog_.empty = true;
  for (const ChatCatalog* const catalog :
       std::initializer_list<const ChatCatalog*>{nullptr, &catalog_}) {
    const ChatGateway gateway(catalog, limits_, clock_);
    const Error error = gateway.Admit(Asking("hi"), {}).error();
    EXPECT_EQ(error.code, Code::kFailedPrecondition);
    EXPECT_EQ(error.reason, "model_not_available");
    EXPECT_NE(error.message.find("api_key"), std::string::npos);
    EXPECT_TRUE(gateway.Models().empty());
  }
}

TEST_F(ChatGatewayTest, LimitInputBytesIsOfEveryText) {
  limits_.input_bytes = 4;
  EXPECT_TRUE(Admit(Asking("abcd")));
  EXPECT_EQ(Admit(Asking("abcde")).error().where, "messages");
  ChatRequest request = Asking("a");
  request.tools.push_back({.name = "t", .description = "abcde", .schema = "{}", .strict = {}});
  EXPECT_EQ(Admit(request).error().where, "tools");
  request = Asking("a");
  request.messages[0].parts.push_back({ChatToolResult{"1", {ChatText{"abcde"}}}});
  EXPECT_EQ(Admit(request).error().where, "messages");
  request = Asking("a");
  request.stop = {"abcde"};
  EXPECT_EQ(Admit(request).error().where, "stop");
  request = Asking("a");
  request.format = {
      .kind = ChatFormat::Kind::kJsonSchema, .name = "", .schema = "{\"a\":1}", .strict = {}};
  EXPECT_EQ(Admit(request).error().where, "response_format");
  // Images are bounded by the body.
  request = Asking("a");
  request.messages[0].parts.push_back({ChatImage{.media_type = "image/png", .data = "abcdef"}});
  EXPECT_TRUE(Admit(request));
}

TEST_F(ChatGatewayTest, LimitInputsPerRequestIsOfMessagesPartsAndTools) {
  limits_.inputs_per_request = 2;
  ChatRequest request = Asking("a");
  request.messages.resize(2, request.messages[0]);
  EXPECT_TRUE(Admit(request));
  request.messages[0].parts.push_back({ChatText{"b"}});
  EXPECT_EQ(Admit(request).error().where, "messages");
  request = Asking("a");
  request.messages.resize(3, request.messages[0]);
  EXPECT_EQ(Admit(request).error().where, "messages");
  request = Asking("a");
  request.tools.resize(3);
  EXPECT_EQ(Admit(request).error().where, "tools");
  EXPECT_EQ(Admit({}).error().where, "messages");
}

TEST_F(ChatGatewayTest, ARequestThatIsLeftIsNotWorkedOn) {
  RequestContext context;
  context.deadline = clock_.Now();
  EXPECT_EQ(ChatGateway(&catalog_, limits_, clock_).Admit(Asking("a"), context).error().code,
            Code::kDeadlineExceeded);
}

TEST_F(ChatGatewayTest, TextBytesCountWhatIsRead) {
  ChatRequest request = Asking("four");
  request.messages[0].parts.push_back({ChatToolCall{"id", "t", "{}"}});
  request.messages[0].parts.push_back({ChatImage{.data = "xxxx"}});
  request.tools.push_back({.name = "t", .description = "d", .schema = "{}", .strict = {}});
  EXPECT_EQ(TextBytes(request), 4u + 3 + 4);
  EXPECT_EQ(TextBytes(ChatEvent(ChatToolArguments{0, "{}"})), 2u);
}

}  // namespace
}  // namespace garrison
