#include "wire/anthropic.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "wire/test_wire.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

std::string With(const std::string& fields) {
  return R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],)" + fields +
         "}";
}
std::string Said(const std::string& messages) {
  return R"({"max_tokens":9,"messages":[)" + messages + "]}";
}

ChatRequest Request(const std::string& body) {
  const auto call = DecodeAnthropicMessages(Parsed(body));
  EXPECT_TRUE(call) << body << call.error().ToString();
  return call ? call->request : ChatRequest{};
}

template <typename Part>
const Part& At(const ChatMessage& message, std::size_t i) {
  return std::get<Part>(message.parts.at(i).value);
}

TEST(AnthropicMessages, ReadsBlocksOfEveryKind) {
  const ChatRequest request = Request(R"({"max_tokens":9,"system":[{"type":"text","text":"s",
      "cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[
      {"role":"user","content":"hi"},
      {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"sig"},
        {"type":"redacted_thinking","data":"zz"},{"type":"text","text":"a"},
        {"type":"tool_use","id":"c","name":"f","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"c","is_error":true,
          "content":[{"type":"text","text":"42"},{"type":"image","source":{"type":"url",
          "url":"https://x"}}]},{"type":"tool_result","tool_use_id":"d","content":"x"},
        {"type":"text","text":"so?","cache_control":{"type":"ephemeral"}},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]})");
  const auto& messages = request.messages;
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[0].role, ChatRole::kSystem);
  EXPECT_EQ(messages[0].parts[0].cache_control, R"({"ttl":"1h","type":"ephemeral"})");
  EXPECT_EQ(At<ChatText>(messages[1], 0).text, "hi");
  EXPECT_EQ(At<ChatThinking>(messages[2], 0).signature, "sig");
  EXPECT_EQ(At<ChatThinking>(messages[2], 1).redacted, "zz");
  EXPECT_EQ(At<ChatToolCall>(messages[2], 3).arguments, R"({"x":1})");
  EXPECT_EQ(messages[3].role, ChatRole::kTool);
  ASSERT_EQ(messages[3].parts.size(), 2u);
  EXPECT_TRUE(At<ChatToolResult>(messages[3], 0).is_error);
  EXPECT_EQ(std::get<ChatImage>(At<ChatToolResult>(messages[3], 0).content.at(1)).url, "https://x");
  EXPECT_EQ(messages[4].role, ChatRole::kUser);
  EXPECT_EQ(messages[4].parts[0].cache_control, R"({"type":"ephemeral"})");
  EXPECT_EQ(At<ChatImage>(messages[4], 1).data, "AAAA");
}

TEST(AnthropicMessages, ReadsEveryOption) {
  const auto call = DecodeAnthropicMessages(Parsed(With(R"("system":"s","stream":true,
      "temperature":1,"top_p":0.5,"top_k":4,"stop_sequences":["x"],"metadata":{"user_id":"u"},
      "thinking":{"type":"enabled","budget_tokens":2048},"service_tier":"standard_only",
      "output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}},
      "tools":[{"name":"f","description":"d","input_schema":{"type":"object"},
        "cache_control":{"type":"ephemeral"}},{"type":"custom","name":"g","input_schema":{}}],
      "tool_choice":{"type":"any","disable_parallel_tool_use":true})")));
  ASSERT_TRUE(call) << call.error().ToString();
  const ChatRequest& request = call->request;
  EXPECT_TRUE(call->stream);
  EXPECT_EQ(request.max_tokens, 9u);
  EXPECT_EQ(request.temperature, 1);
  EXPECT_EQ(request.top_k, 4u);
  EXPECT_EQ(request.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(request.user, "u");
  EXPECT_EQ(request.thinking_tokens, 2048u);
  EXPECT_EQ(request.reasoning_effort, "low");
  EXPECT_EQ(request.format->kind, ChatFormat::Kind::kJsonSchema);
  ASSERT_EQ(request.tools.size(), 2u);
  EXPECT_EQ(request.tools[0].cache_control, R"({"type":"ephemeral"})");
  EXPECT_EQ(request.tool_choice->mode, ChatToolChoice::Mode::kRequired);
  EXPECT_EQ(request.parallel_tool_calls, false);
  EXPECT_EQ(Request(With(R"("thinking":{"type":"disabled"})")).thinking_tokens, 0u);
  const auto named = Request(With(R"("tool_choice":{"type":"tool","name":"f"})"));
  EXPECT_EQ(named.tool_choice->name, "f");
  EXPECT_FALSE(named.parallel_tool_calls);
  EXPECT_TRUE(DecodeAnthropicCountTokens(
      Parsed(R"({"model":"m","messages":[{"role":"user","content":"hi"}]})")));
}

TEST(AnthropicMessages, WrongBodiesNameTheField) {
  const auto block = [](const std::string& role, const std::string& json) {
    return Said(R"({"role":")" + role + R"(","content":[)" + json + "]}");
  };
  ExpectRefused(
      DecodeAnthropicMessages,
      {{"[]", ""},
       {R"({"max_tokens":9})", "messages"},
       {R"({"messages":[{"role":"user","content":"hi"}]})", "max_tokens"},
       {Said(R"({"role":"system","content":"x"})"), "messages[0].role"},
       {Said(R"({"role":"user"})"), "messages[0].content"},
       {Said(R"({"role":"user","content":[]})"), "messages[0].content"},
       {Said(R"({"role":"user","content":7})"), "messages[0].content"},
       {block("user", "7"), "messages[0].content[0]"},
       {block("user", R"({"type":"document"})"), "messages[0].content[0].type"},
       {block("user", R"({"type":"thinking","thinking":"x"})"), "messages[0].content[0].type"},
       {block("assistant", R"({"type":"image"})"), "messages[0].content[0].type"},
       {block("assistant", R"({"type":"server_tool_use"})"), "messages[0].content[0].type"},
       {block("assistant", R"({"type":"tool_use","id":"a","name":"f","input":[]})"),
        "messages[0].content[0].input"},
       {block("user", R"({"type":"image"})"), "messages[0].content[0].source"},
       {block("user", R"({"type":"image","source":{"type":"file"}})"),
        "messages[0].content[0].source.type"},
       {block("user", R"({"type":"image","source":{"type":"url","url":"ftp://x"}})"),
        "messages[0].content[0].source.url"},
       {block("user",
              R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"?"}})"),
        "messages[0].content[0].source.data"},
       {block("user", R"({"type":"tool_result"})"), "messages[0].content[0].tool_use_id"},
       {block("user",
              R"({"type":"tool_result","tool_use_id":"a","content":[{"type":"document"}]})"),
        "messages[0].content[0].content[0].type"},
       {block("user", R"({"type":"text","text":"a","cache_control":7})"),
        "messages[0].content[0].cache_control"},
       {With(R"("system":7)"), "system"},
       {With(R"("system":[{"type":"image","source":{"type":"url","url":"https://x"}}])"),
        "system[0].type"},
       {With(R"("temperature":1.1)"), "temperature"},
       {With(R"("top_k":0)"), "top_k"},
       {With(R"("stop_sequences":"x")"), "stop_sequences"},
       {With(R"("stop_sequences":[""])"), "stop_sequences"},
       {With(R"("tools":[{"type":"web_search_20250305","name":"w"}])"), "tools[0].type"},
       {With(R"("tools":[{"name":"w"}])"), "tools[0].input_schema"},
       {With(R"("tools":[{"name":"w","input_schema":{},"defer_loading":true}])"),
        "tools[0].defer_loading"},
       {With(R"("tool_choice":{"type":"x"})"), "tool_choice.type"},
       {With(R"("tool_choice":{"type":"tool"})"), "tool_choice.name"},
       {With(R"("thinking":{"type":"adaptive"})"), "thinking.type"},
       {With(R"("thinking":{"type":"enabled"})"), "thinking.budget_tokens"},
       {With(R"("output_config":{"format":{"type":"x"}})"), "output_config.format.type"},
       {With(R"("mcp_servers":[{}])"), "mcp_servers"},
       {With(R"("container":"c")"), "container"},
       {With(R"("inference_geo":"us")"), "inference_geo"},
       {With(R"("service_tier":"priority")"), "service_tier"},
       {With(R"("metadata":{"user_id":7})"), "metadata.user_id"},
       {With(R"("stream":1)"), "stream"}});
}

ChatOutcome Outcome() {
  ChatOutcome outcome;
  outcome.end.finish = ChatFinish::kStopSequence;
  outcome.end.stop_sequence = "END";
  outcome.end.usage = {60, 30, 6, 4, 20, 5, 0};
  return outcome;
}

const char* const kUsage = R"({"input_tokens":60,"cache_creation_input_tokens":10,
    "cache_read_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":6,
    "ephemeral_1h_input_tokens":4},"output_tokens":20})";

TEST(AnthropicReply, HasTheShapeThatClientsRead) {
  const std::vector<ChatPart> parts = {{ChatThinking{"t", "sig", ""}},
                                       {ChatThinking{"", "", "zz"}},
                                       {ChatText{"a"}},
                                       {ChatToolCall{"c", "f", R"({"x":1})"}},
                                       {ChatToolCall{"d", "g", ""}},
                                       {ChatToolCall{"e", "h", "{bro"}}};
  EXPECT_EQ(Parsed(EncodeAnthropicMessage({"msg_1", "m"}, parts, Outcome())),
            Parsed(R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[
      {"type":"thinking","thinking":"t","signature":"sig"},
      {"type":"redacted_thinking","data":"zz"},{"type":"text","text":"a"},
      {"type":"tool_use","id":"c","name":"f","input":{"x":1}},
      {"type":"tool_use","id":"d","name":"g","input":{}},
      {"type":"tool_use","id":"e","name":"h","input":{"INVALID_JSON":"{bro"}}],
      "stop_reason":"stop_sequence","stop_sequence":"END","usage":)" +
                   std::string(kUsage) + "}"));
  EXPECT_EQ(EncodeAnthropicCount(7), R"({"input_tokens":7})");
}

TEST(AnthropicStream, BlocksOpenAndCloseInTheirOrder) {
  const auto stream = MakeAnthropicStream({"msg_1", "m"});
  std::string bytes = stream->Begin({});
  for (const ChatEvent& event :
       std::vector<ChatEvent>{ChatThinkingDelta{"t", "", ""}, ChatThinkingDelta{"", "sig", ""},
                              ChatThinkingDelta{"u", "", ""}, ChatThinkingDelta{"", "", "zz"},
                              ChatTextDelta{"a"}, ChatTextDelta{"b"}, ChatToolStart{0, "c", "f"},
                              ChatToolArguments{0, "{}"}, ChatToolStart{1, "d", "g"}}) {
    bytes += stream->Event(event);
  }
  bytes += stream->End(Outcome());
  std::vector<StreamEvent> events;
  ASSERT_TRUE(MakeSseDecoder()->Add(bytes, events));
  std::string seen;
  for (const StreamEvent& event : events) {
    const Json json = Parsed(event.data);
    EXPECT_EQ(json["type"], event.name);
    const std::string index = json.contains("index") ? json["index"].dump() : "";
    if (event.name == "content_block_start") {
      seen += index + "(" + json["content_block"]["type"].get<std::string>() + " ";
    } else if (event.name == "content_block_delta") {
      seen += index + json["delta"]["type"].get<std::string>() + " ";
    } else if (event.name == "content_block_stop") {
      seen += index + ") ";
    } else {
      seen += event.name + " ";
    }
  }
  EXPECT_EQ(seen,
            "message_start 0(thinking 0thinking_delta 0signature_delta 0) "
            "1(thinking 1thinking_delta 1) 2(redacted_thinking 2) 3(text 3text_delta 3text_delta "
            "3) 4(tool_use 4input_json_delta 4) 5(tool_use 5) message_delta message_stop ");
  const Json delta = Parsed(events.at(events.size() - 2).data);
  EXPECT_EQ(delta["delta"], Parsed(R"({"stop_reason":"stop_sequence","stop_sequence":"END"})"));
  EXPECT_EQ(delta["usage"], Parsed(kUsage));
}

TEST(AnthropicErrors, HaveTypesByStatus) {
  const Error error{Code::kUnavailable, "it broke", "", {}};
  const auto type = [&](int status) {
    return Parsed(EncodeAnthropicError(error, status, "r"))["error"]["type"].get<std::string>();
  };
  EXPECT_EQ(type(400), "invalid_request_error");
  EXPECT_EQ(type(401), "authentication_error");
  EXPECT_EQ(type(402), "billing_error");
  EXPECT_EQ(type(403), "permission_error");
  EXPECT_EQ(type(404), "not_found_error");
  EXPECT_EQ(type(413), "request_too_large");
  EXPECT_EQ(type(429), "rate_limit_error");
  EXPECT_EQ(type(500), "api_error");
  EXPECT_EQ(type(504), "timeout_error");
  EXPECT_EQ(type(529), "overloaded_error");
  EXPECT_EQ(Parsed(EncodeAnthropicError(error, 500, "r")),
            Parsed(R"({"type":"error","error":{"type":"api_error","message":"it broke"},
                       "request_id":"r"})"));
  const std::string failed = MakeAnthropicStream({"i", "m"})->Fail(error);
  EXPECT_TRUE(failed.starts_with("event: error\ndata: {\"type\":\"error\""));
  EXPECT_EQ(failed.find("message_stop"), std::string::npos);
}

}  // namespace
}  // namespace garrison
