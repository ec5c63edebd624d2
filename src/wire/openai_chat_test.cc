#include "wire/openai_chat.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "wire/test_wire.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

// A body with one message of a user and these fields.
std::string With(const std::string& fields) {
  return R"({"messages":[{"role":"user","content":"hi"}],)" + fields + "}";
}
std::string Said(const std::string& messages) { return R"({"messages":[)" + messages + "]}"; }

ChatRequest Request(const std::string& body) {
  const auto call = DecodeOpenAiChat(Parsed(body));
  EXPECT_TRUE(call) << body << call.error().ToString();
  return call ? call->request : ChatRequest{};
}

template <typename Part>
const Part& At(const ChatMessage& message, std::size_t i) {
  return std::get<Part>(message.parts.at(i).value);
}

TEST(OpenAiChat, ReadsMessagesOfEveryRole) {
  const auto messages = Request(Said(R"({"role":"system","content":"be kind"},
      {"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
      {"role":"user","name":"u","content":[{"type":"text","text":"look"},
        {"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
      {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[
        {"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]},
      {"role":"tool","tool_call_id":"c","content":"42"},
      {"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},
      {"role":"assistant","refusal":"never"})"))
                            .messages;
  ASSERT_EQ(messages.size(), 7u);
  EXPECT_EQ(messages[0].role, ChatRole::kSystem);
  EXPECT_EQ(messages[1].role, ChatRole::kSystem);
  EXPECT_EQ(At<ChatText>(messages[1], 1).text, "b");
  EXPECT_EQ(At<ChatImage>(messages[2], 1).url, "https://x/y.png");
  EXPECT_EQ(At<ChatImage>(messages[2], 1).detail, "low");
  EXPECT_EQ(At<ChatImage>(messages[2], 2).media_type, "image/png");
  EXPECT_EQ(At<ChatImage>(messages[2], 2).data, "AAAA");
  EXPECT_EQ(At<ChatThinking>(messages[3], 0).text, "hm");
  EXPECT_EQ(At<ChatToolCall>(messages[3], 1).arguments, "{\"x\":");
  EXPECT_EQ(messages[4].role, ChatRole::kTool);
  EXPECT_EQ(At<ChatToolResult>(messages[4], 0).call_id, "c");
  EXPECT_EQ(std::get<ChatText>(At<ChatToolResult>(messages[4], 0).content.at(0)).text, "42");
  EXPECT_EQ(At<ChatText>(messages[5], 0).text, "no");
  EXPECT_EQ(At<ChatText>(messages[6], 0).text, "never");
}

TEST(OpenAiChat, ReadsEveryOption) {
  const auto call = DecodeOpenAiChat(Parsed(With(R"("model":"m","max_tokens":5,
      "max_completion_tokens":7,"temperature":1.5,"top_p":0.5,"presence_penalty":-1,
      "frequency_penalty":2,"seed":-3,"stop":["a","b"],"reasoning_effort":"low","user":"u",
      "parallel_tool_calls":false,"stream":true,"stream_options":{"include_usage":true},
      "response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,
        "schema":{"type":"object"}}},
      "tools":[{"type":"function","function":{"name":"f","description":"d",
        "parameters":{"type":"object"},"strict":false}},
        {"type":"function","function":{"name":"g"}}],
      "tool_choice":{"type":"function","function":{"name":"f"}},
      "n":1,"logprobs":false,"service_tier":"default","modalities":["text"],"store":true,
      "metadata":{"a":"b"},"logit_bias":{})")));
  ASSERT_TRUE(call) << call.error().ToString();
  const ChatRequest& request = call->request;
  EXPECT_TRUE(call->stream && call->include_usage);
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.max_tokens, 7u);
  EXPECT_EQ(request.temperature, 1.5);
  EXPECT_EQ(request.top_p, 0.5);
  EXPECT_EQ(request.presence_penalty, -1);
  EXPECT_EQ(request.frequency_penalty, 2);
  EXPECT_EQ(request.seed, -3);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.reasoning_effort, "low");
  EXPECT_EQ(request.user, "u");
  EXPECT_EQ(request.parallel_tool_calls, false);
  EXPECT_EQ(request.format->kind, ChatFormat::Kind::kJsonSchema);
  EXPECT_EQ(request.format->schema, R"({"type":"object"})");
  EXPECT_EQ(request.format->strict, true);
  ASSERT_EQ(request.tools.size(), 2u);
  EXPECT_EQ(request.tools[0].strict, false);
  EXPECT_EQ(request.tools[1].schema, R"({"type":"object","properties":{}})");
  EXPECT_EQ(request.tool_choice->mode, ChatToolChoice::Mode::kNamed);
  EXPECT_EQ(request.tool_choice->name, "f");
  EXPECT_EQ(Request(With(R"("max_tokens":5)")).max_tokens, 5u);
  EXPECT_EQ(Request(With(R"("stop":"x")")).stop, std::vector<std::string>{"x"});
  EXPECT_EQ(Request(With(R"("tool_choice":"required")")).tool_choice->mode,
            ChatToolChoice::Mode::kRequired);
}

TEST(OpenAiChat, WrongBodiesNameTheField) {
  ExpectRefused(
      DecodeOpenAiChat,
      {{"[]", ""},
       {"{}", "messages"},
       {R"({"messages":[]})", "messages"},
       {R"({"messages":{}})", "messages"},
       {Said("7"), "messages[0]"},
       {Said(R"({"content":"x"})"), "messages[0].role"},
       {Said(R"({"role":"user","content":"x"},{"role":"x"})"), "messages[1].role"},
       {Said(R"({"role":"function","content":"x"})"), "messages[0].role"},
       {Said(R"({"role":"user"})"), "messages[0].content"},
       {Said(R"({"role":"user","content":[]})"), "messages[0].content"},
       {Said(R"({"role":"user","content":7})"), "messages[0].content"},
       {Said(R"({"role":"user","content":["x"]})"), "messages[0].content[0]"},
       {Said(R"({"role":"user","content":[{"type":"text"}]})"), "messages[0].content[0].text"},
       {Said(R"({"role":"user","content":[{"type":"file"}]})"), "messages[0].content[0].type"},
       {Said(R"({"role":"system","content":[{"type":"image_url"}]})"),
        "messages[0].content[0].type"},
       {Said(R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///x"}}]})"),
        "messages[0].content[0].image_url.url"},
       {Said(
            R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,?"}}]})"),
        "messages[0].content[0].image_url.url"},
       {Said(R"({"role":"assistant"})"), "messages[0].content"},
       {Said(R"({"role":"assistant","tool_calls":[{"type":"custom"}]})"),
        "messages[0].tool_calls[0].type"},
       {Said(R"({"role":"assistant","tool_calls":[{"id":"a","function":{}}]})"),
        "messages[0].tool_calls[0].function.name"},
       {Said(R"({"role":"tool","content":"x"})"), "messages[0].tool_call_id"},
       {With(R"("n":2)"), "n"},
       {With(R"("audio":{"voice":"x"})"), "audio"},
       {With(R"("modalities":["text","audio"])"), "modalities"},
       {With(R"("logprobs":true)"), "logprobs"},
       {With(R"("logit_bias":{"1":2})"), "logit_bias"},
       {With(R"("web_search_options":{"a":1})"), "web_search_options"},
       {With(R"("service_tier":"priority")"), "service_tier"},
       {With(R"("prediction":{"a":1})"), "prediction"},
       {With(R"("max_completion_tokens":0)"), "max_completion_tokens"},
       {With(R"("max_tokens":4294967296)"), "max_tokens"},
       {With(R"("temperature":2.1)"), "temperature"},
       {With(R"("temperature":"1")"), "temperature"},
       {With(R"("top_p":-0.1)"), "top_p"},
       {With(R"("seed":1.5)"), "seed"},
       {With(R"("seed":18446744073709551615)"), "seed"},
       {With(R"("stop":[1])"), "stop[0]"},
       {With(R"("stop":"")"), "stop"},
       {With(R"("response_format":{"type":"x"})"), "response_format.type"},
       {With(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema"},
       {With(R"("tools":[{"type":"web_search"}])"), "tools[0].type"},
       {With(R"("tools":[{"type":"function"}])"), "tools[0].function"},
       {With(R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])"),
        "tools[0].function.parameters"},
       {With(R"("tool_choice":"x")"), "tool_choice"},
       {With(R"("tool_choice":{"type":"allowed_tools"})"), "tool_choice.type"},
       {With(R"("stream_options":7)"), "stream_options"}});
}

TEST(OpenAiCompletion, ThePromptBecomesAMessage) {
  const auto call = DecodeOpenAiCompletion(
      Parsed(R"({"prompt":["once"],"max_tokens":3,"echo":true,"stop":"x","stream":true})"));
  ASSERT_TRUE(call);
  EXPECT_EQ(call->prompt, "once");
  EXPECT_TRUE(call->echo_prompt && call->stream);
  EXPECT_EQ(At<ChatText>(call->request.messages.at(0), 0).text, "once");
  ExpectRefused(DecodeOpenAiCompletion, {{"{}", "prompt"},
                                         {R"({"prompt":[1,2]})", "prompt"},
                                         {R"({"prompt":["a","b"]})", "prompt"},
                                         {R"({"prompt":"a","best_of":2})", "best_of"},
                                         {R"({"prompt":"a","suffix":"b"})", "suffix"},
                                         {R"({"prompt":"a","logprobs":1})", "logprobs"}});
}

ChatOutcome Outcome() {
  ChatOutcome outcome;
  outcome.end.usage = {60, 30, 6, 4, 20, 5, 0};
  return outcome;
}

TEST(OpenAiChatReply, HasTheShapeThatClientsRead) {
  const std::vector<ChatPart> parts = {{ChatThinking{"hm", "sig", ""}}, {ChatText{"hi"}}};
  const Json reply = Parsed(EncodeOpenAiChat({"chatcmpl-1", "m", 7}, parts, Outcome()));
  EXPECT_EQ(reply, Parsed(R"({"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m",
      "choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null,
        "reasoning_content":"hm"},"logprobs":null,"finish_reason":"stop"}],
      "usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,
        "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":10},
        "completion_tokens_details":{"reasoning_tokens":5}}})"));
  const std::vector<ChatPart> calls = {{ChatToolCall{"c", "f", "{}"}}};
  ChatOutcome outcome = Outcome();
  outcome.end.finish = ChatFinish::kToolCalls;
  outcome.end.usage_known = false;
  const Json called = Parsed(EncodeOpenAiChat({"i", "m", 7}, calls, outcome));
  EXPECT_TRUE(called["choices"][0]["message"]["content"].is_null());
  EXPECT_EQ(called["choices"][0]["message"]["tool_calls"],
            Parsed(R"([{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}])"));
  EXPECT_EQ(called["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(called["usage"]["estimated"], true);
  OpenAiChatCall call;
  call.echo_prompt = true;
  call.prompt = "once ";
  const Json text = Parsed(EncodeOpenAiCompletion({"i", "m", 7}, call, parts, Outcome()));
  EXPECT_EQ(text["object"], "text_completion");
  EXPECT_EQ(text["choices"][0]["text"], "once hi");
}

std::vector<std::string> Datas(const std::string& bytes) {
  std::vector<StreamEvent> events;
  const auto decoder = MakeSseDecoder();
  EXPECT_TRUE(decoder->Add(bytes, events) && decoder->Finish(events));
  std::vector<std::string> datas;
  for (StreamEvent& event : events) datas.push_back(std::move(event.data));
  return datas;
}

TEST(OpenAiChatStream, HasChunksFromTheRoleToDone) {
  for (const bool usage : {false, true}) {
    const auto stream = MakeOpenAiChatStream({"i", "m", 7}, usage);
    std::string bytes = stream->Begin({});
    bytes += stream->Event(ChatTextDelta{"hi"});
    EXPECT_EQ(stream->Event(ChatThinkingDelta{"", "sig", ""}), "");
    bytes += stream->Event(ChatToolStart{0, "c", "f"});
    bytes += stream->Event(ChatToolArguments{0, "{}"});
    bytes += stream->End(Outcome());
    const auto datas = Datas(bytes);
    ASSERT_EQ(datas.size(), usage ? 7u : 6u);
    const auto delta = [&](std::size_t i) { return Parsed(datas[i])["choices"][0]["delta"]; };
    EXPECT_EQ(delta(0), Parsed(R"({"role":"assistant","content":""})"));
    EXPECT_EQ(delta(1), Parsed(R"({"content":"hi"})"));
    EXPECT_EQ(delta(2), Parsed(R"({"tool_calls":[{"index":0,"id":"c","type":"function",
                                   "function":{"name":"f","arguments":""}}]})"));
    EXPECT_EQ(delta(3), Parsed(R"({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})"));
    EXPECT_EQ(delta(4), Json::object());
    EXPECT_TRUE(Parsed(datas[3])["choices"][0]["finish_reason"].is_null());
    EXPECT_EQ(Parsed(datas[4])["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(Parsed(datas[4])["object"], "chat.completion.chunk");
    EXPECT_EQ(Parsed(datas[4]).contains("usage"), usage);
    if (usage) {
      EXPECT_EQ(Parsed(datas[5])["choices"], Json::array());
      EXPECT_EQ(Parsed(datas[5])["usage"]["prompt_tokens"], 100);
    }
    EXPECT_EQ(datas.back(), "[DONE]");
  }
}

TEST(OpenAiChatStream, AFailureIsNoEnd) {
  const Error error{Code::kUnavailable, "it broke", "", {}};
  OpenAiChatCall call;
  for (const auto& stream : {MakeOpenAiChatStream({"i", "m", 7}, true),
                             MakeOpenAiCompletionStream({"i", "m", 7}, call)}) {
    const auto datas = Datas(stream->Fail(error));
    ASSERT_EQ(datas.size(), 1u);
    EXPECT_EQ(Parsed(datas[0])["error"]["message"], "it broke");
    EXPECT_EQ(Parsed(datas[0])["error"]["type"], "server_error");
    EXPECT_TRUE(Parsed(datas[0])["error"].contains("param"));
  }
}

TEST(OpenAiCompletionStream, HasTexts) {
  OpenAiChatCall call;
  call.echo_prompt = true;
  call.prompt = "once ";
  const auto stream = MakeOpenAiCompletionStream({"i", "m", 7}, call);
  std::string bytes = stream->Begin({}) + stream->Event(ChatTextDelta{"hi"});
  EXPECT_EQ(stream->Event(ChatThinkingDelta{"hm", "", ""}), "");
  bytes += stream->End(Outcome());
  const auto datas = Datas(bytes);
  ASSERT_EQ(datas.size(), 4u);
  EXPECT_EQ(Parsed(datas[0])["choices"][0]["text"], "once ");
  EXPECT_EQ(Parsed(datas[1])["choices"][0]["text"], "hi");
  EXPECT_EQ(Parsed(datas[2])["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(datas[3], "[DONE]");
}

}  // namespace
}  // namespace garrison
