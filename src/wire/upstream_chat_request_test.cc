// What vendors are asked, in both shapes, for what clients ask in either.
#include <gtest/gtest.h>

#include "core/json.h"
#include "wire/anthropic.h"
#include "wire/openai_chat.h"
#include "wire/test_wire.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

ChatRequest OfOpenAi(const std::string& body) {
  auto call = DecodeOpenAiChat(Parsed(body));
  EXPECT_TRUE(call) << body << call.error().ToString();
  if (call && !call->request.max_tokens) call->request.max_tokens = 9;
  return call ? call->request : ChatRequest{};
}
ChatRequest OfAnthropic(const std::string& body) {
  const auto call = DecodeAnthropicMessages(Parsed(body));
  EXPECT_TRUE(call) << body << call.error().ToString();
  return call ? call->request : ChatRequest{};
}
ChatRequest With(const std::string& fields) {
  return OfOpenAi(R"({"messages":[{"role":"user","content":"hi"}],)" + fields + "}");
}

Json ToOpenAi(const ChatRequest& request, const OpenAiChatForm& form = {}) {
  const auto body = EncodeUpstreamOpenAiChat("m", request, form);
  EXPECT_TRUE(body) << body.error().ToString();
  return body ? Parsed(*body) : Json();
}
Json ToAnthropic(const ChatRequest& request, const AnthropicForm& form = {}) {
  const auto body = EncodeUpstreamAnthropic("m", request, form);
  EXPECT_TRUE(body) << body.error().ToString();
  return body ? Parsed(*body) : Json();
}
// The field that the model cannot do; "" if it can.
std::string Refused(const ChatRequest& request, const AnthropicForm& form = {}) {
  const auto body = EncodeUpstreamAnthropic("m", request, form);
  if (body) return "";
  EXPECT_EQ(body.error().code, Code::kInvalidArgument);
  return body.error().where;
}
std::string Refused(const ChatRequest& request, const OpenAiChatForm& form) {
  const auto body = EncodeUpstreamOpenAiChat("m", request, form);
  if (body) return "";
  EXPECT_EQ(body.error().code, Code::kInvalidArgument);
  return body.error().where;
}

const char* const kTools = R"("tools":[{"type":"function","function":{"name":"f","description":"d",
    "parameters":{"type":"object"},"strict":true}}])";

const char* const kConversation = R"({"messages":[
    {"role":"system","content":"one"},
    {"role":"user","content":[{"type":"text","text":"look"},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]},
    {"role":"assistant","content":"","reasoning_content":"hm","tool_calls":[
      {"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
    {"role":"tool","tool_call_id":"c","content":"42"},
    {"role":"developer","content":"two"},
    {"role":"user","content":"so?"}],"max_completion_tokens":9})";

TEST(ToOpenAi, AConversationOfItsOwnComesBack) {
  Json wanted = Parsed(kConversation);
  wanted["messages"][2].erase("reasoning_content");
  wanted["messages"][4]["role"] = "system";
  wanted["model"] = "m";
  wanted["stream"] = true;
  wanted["stream_options"] = {{"include_usage", true}};
  EXPECT_EQ(ToOpenAi(OfOpenAi(kConversation)), wanted);
  EXPECT_EQ(ToOpenAi(OfOpenAi(kConversation),
                     {.reasoning_content = true})["messages"][2]["reasoning_content"],
            "hm");
}

TEST(ToOpenAi, OptionsKeepTheirNames) {
  const std::string options = R"("temperature":1.5,"top_p":0.5,"presence_penalty":1.0,
      "frequency_penalty":-1.0,"seed":3,"stop":["a"],"reasoning_effort":"low","user":"u",
      "parallel_tool_calls":true,"tool_choice":{"type":"function","function":{"name":"f"}},
      "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"a":1},
      "strict":true}},)" + std::string(kTools);
  const Json body = ToOpenAi(With(options), {.max_completion_tokens = false});
  const Json wanted = Parsed("{" + options + "}");
  for (const auto& [name, value] : wanted.items()) EXPECT_EQ(body[name], value) << name;
  EXPECT_EQ(body["max_tokens"], 9);
  EXPECT_FALSE(body.contains("max_completion_tokens"));
  EXPECT_FALSE(
      ToOpenAi(With(R"("tool_choice":"auto","parallel_tool_calls":true)")).contains("tool_choice"));
}

TEST(ToOpenAi, WhatItCannotSayIsRefused) {
  const OpenAiChatForm form;
  EXPECT_EQ(Refused(With(R"("top_k":3)"), form), "top_k");
  ChatRequest thinking = With(R"("stop":"x")");
  thinking.thinking_tokens = 0;
  EXPECT_EQ(Refused(thinking, form), "");
  thinking.thinking_tokens = 1024;
  EXPECT_EQ(Refused(thinking, form), "thinking");
  EXPECT_EQ(Refused(OfAnthropic(R"({"max_tokens":9,"messages":[{"role":"user","content":[
      {"type":"tool_result","tool_use_id":"c","content":[{"type":"image","source":
      {"type":"url","url":"https://x"}}]}]}]})"),
                    form),
            "messages[0]");
}

TEST(ToOpenAi, AnthropicsBlocksBecomeMessages) {
  const Json body = ToOpenAi(OfAnthropic(R"({"max_tokens":9,"system":"s","messages":[
      {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"x"},
        {"type":"text","text":"a"},{"type":"tool_use","id":"c","name":"f","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"c"},
        {"type":"tool_result","tool_use_id":"d","content":"2"},{"type":"text","text":"so?"}]}]})"));
  EXPECT_EQ(body["messages"], Parsed(R"([{"role":"system","content":"s"},
      {"role":"assistant","content":"a","tool_calls":[{"id":"c","type":"function",
        "function":{"name":"f","arguments":"{\"x\":1}"}}]},
      {"role":"tool","tool_call_id":"c","content":""},
      {"role":"tool","tool_call_id":"d","content":"2"},{"role":"user","content":"so?"}])"));
}

TEST(ToAnthropic, OpenAisMessagesBecomeBlocks) {
  EXPECT_EQ(ToAnthropic(OfOpenAi(kConversation)), Parsed(R"({"model":"m","max_tokens":9,
      "stream":true,"system":[{"type":"text","text":"one"},{"type":"text","text":"two"}],
      "messages":[{"role":"user","content":[{"type":"text","text":"look"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},
      {"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"c",
        "content":[{"type":"text","text":"42"}]},{"type":"text","text":"so?"}]}]})"));
}

TEST(ToAnthropic, ItsOwnConversationComesBack) {
  const std::string text = R"({"max_tokens":9,"temperature":0.5,"top_p":0.5,"top_k":4,
      "stop_sequences":["x"],"metadata":{"user_id":"u"},"stream":true,
      "thinking":{"type":"enabled","budget_tokens":2048},
      "output_config":{"effort":"max","format":{"type":"json_schema","schema":{"a":1}}},
      "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],
      "tools":[{"name":"f","description":"d","input_schema":{"type":"object"},
        "cache_control":{"type":"ephemeral"}}],
      "tool_choice":{"type":"auto","disable_parallel_tool_use":true},
      "messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},
      {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"sig"},
        {"type":"redacted_thinking","data":"zz"},
        {"type":"tool_use","id":"c","name":"f","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,
          "content":[{"type":"image","source":{"type":"url","url":"https://x"}}],
          "cache_control":{"type":"ephemeral"}},
        {"type":"text","text":"so?","cache_control":{"type":"ephemeral"}}]}]})";
  Json wanted = Parsed(text);
  wanted["model"] = "m";
  EXPECT_EQ(ToAnthropic(OfAnthropic(text)), wanted);
  Json bedrock = wanted;
  bedrock.erase("model");
  bedrock.erase("stream");
  bedrock["anthropic_version"] = "bedrock-2023-05-31";
  EXPECT_EQ(ToAnthropic(OfAnthropic(text), {.bedrock = true}), bedrock);
  Json count = wanted;
  for (const char* name :
       {"max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "stream"}) {
    count.erase(name);
  }
  ChatRequest uncounted = OfAnthropic(text);
  uncounted.max_tokens.reset();
  EXPECT_EQ(ToAnthropic(uncounted, {.count = true}), count);
}

TEST(ToAnthropic, WhatItDoesNotTakeIsLeftOut) {
  ChatRequest request = OfOpenAi(R"({"messages":[{"role":"user","content":"a"},
      {"role":"assistant","content":"","reasoning_content":"unsigned"},
      {"role":"user","content":"b"}],"presence_penalty":0,"tool_choice":"none"})");
  const Json body = ToAnthropic(request);
  EXPECT_EQ(body["messages"], Parsed(R"([{"role":"user","content":[{"type":"text","text":"a"},
                                         {"type":"text","text":"b"}]}])"));
  EXPECT_FALSE(body.contains("tool_choice"));
  EXPECT_EQ(ToAnthropic(OfOpenAi(R"({"messages":[{"role":"assistant","tool_calls":[{"id":"c",
      "function":{"name":"f","arguments":"{bro"}}]}]})"))["messages"][0]["content"][0]["input"],
            Parsed(R"({"INVALID_JSON":"{bro"})"));
}

TEST(ToAnthropic, WhatItCannotSayIsRefused) {
  EXPECT_EQ(Refused(With(R"("temperature":1.2)")), "temperature");
  EXPECT_EQ(Refused(With(R"("seed":1)")), "seed");
  EXPECT_EQ(Refused(With(R"("presence_penalty":1)")), "presence_penalty");
  EXPECT_EQ(Refused(With(R"("frequency_penalty":1)")), "frequency_penalty");
  EXPECT_EQ(Refused(With(R"("response_format":{"type":"json_object"})")), "response_format");
  EXPECT_EQ(Refused(With(R"("response_format":{"type":"text"})")), "");
  EXPECT_EQ(Refused(With(R"("reasoning_effort":"minimal")")), "reasoning_effort");
  EXPECT_EQ(Refused(With(R"("tool_choice":"required")")), "tool_choice");
  EXPECT_EQ(Refused(OfOpenAi(R"({"messages":[{"role":"system","content":"s"}]})")), "messages");
  const AnthropicForm rigid{.sampling = false, .forced_tool = false};
  EXPECT_EQ(Refused(With(R"("temperature":0.5)"), rigid), "temperature");
  EXPECT_EQ(Refused(With(R"("top_p":0.5)"), rigid), "top_p");
  EXPECT_EQ(Refused(With(R"("top_k":5)"), rigid), "top_k");
  const std::string tools = kTools;
  EXPECT_EQ(Refused(With(R"("tool_choice":"required",)" + tools), rigid), "tool_choice");
  EXPECT_EQ(Refused(With(R"("tool_choice":"auto",)" + tools), rigid), "");
  EXPECT_FALSE(ToAnthropic(With(R"("temperature":1,"top_p":1)"), rigid).contains("temperature"));
}

TEST(ToAnthropic, ChoicesOfToolsKeepTheirMeaning) {
  const auto choice = [](const std::string& fields) {
    return ToAnthropic(With(fields + "," + kTools))["tool_choice"];
  };
  EXPECT_EQ(choice(R"("tool_choice":"required")"), Parsed(R"({"type":"any"})"));
  EXPECT_EQ(choice(R"("tool_choice":"none","parallel_tool_calls":false)"),
            Parsed(R"({"type":"none"})"));
  EXPECT_EQ(choice(R"("parallel_tool_calls":false)"),
            Parsed(R"({"type":"auto","disable_parallel_tool_use":true})"));
  EXPECT_EQ(choice(R"("tool_choice":{"type":"function","function":{"name":"f"}})"),
            Parsed(R"({"type":"tool","name":"f"})"));
  EXPECT_EQ(ToAnthropic(With(kTools))["tools"], Parsed(R"([{"name":"f","description":"d",
      "input_schema":{"type":"object"},"strict":true}])"));
}

}  // namespace
}  // namespace garrison
