// Answers of vendors: what becomes of their events, and of those that they should not send.
#include "wire/upstream_chat.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "core/json.h"

namespace garrison {
namespace {

using Strings = std::vector<std::string>;

// "text:a", "thought:a", "signed:s", "hidden:x", "call0:id/name", "args0:{}"
std::string Line(const ChatEvent& event) {
  if (const auto* text = std::get_if<ChatTextDelta>(&event)) return "text:" + text->text;
  if (const auto* start = std::get_if<ChatToolStart>(&event)) {
    return fmt::format("call{}:{}/{}", start->index, start->id, start->name);
  }
  if (const auto* piece = std::get_if<ChatToolArguments>(&event)) {
    return fmt::format("args{}:{}", piece->index, piece->json);
  }
  const auto& thought = std::get<ChatThinkingDelta>(event);
  if (!thought.redacted.empty()) return "hidden:" + thought.redacted;
  return thought.text.empty() ? "signed:" + thought.signature : "thought:" + thought.text;
}

struct Answer {
  std::unique_ptr<UpstreamChatDecoder> decoder;
  Strings events;
  std::string error;

  const ChatUsage& usage() const { return decoder->end().usage; }
};

Answer Take(std::unique_ptr<UpstreamChatDecoder> decoder, const Strings& stream) {
  Answer answer{std::move(decoder), {}, ""};
  for (const std::string& data : stream) {
    std::vector<ChatEvent> events;
    const auto result = answer.decoder->Decode("message", data, events);
    for (const ChatEvent& event : events) answer.events.push_back(Line(event));
    if (result) continue;
    EXPECT_EQ(result.error().code, Code::kUnavailable);
    answer.error = result.error().message;
    EXPECT_FALSE(answer.decoder->Decode("message", data, events)) << "errors stay";
    break;
  }
  return answer;
}

Answer Whole(std::unique_ptr<UpstreamChatDecoder> decoder, const std::string& body) {
  Answer answer{std::move(decoder), {}, ""};
  std::vector<ChatEvent> events;
  const auto result = answer.decoder->DecodeWhole(body, events);
  for (const ChatEvent& event : events) answer.events.push_back(Line(event));
  if (!result) answer.error = result.error().message;
  return answer;
}

Answer OpenAi(const Strings& stream) { return Take(MakeOpenAiChatDecoder({"s3cret"}), stream); }
Answer Anthropic(const Strings& stream) { return Take(MakeAnthropicDecoder({"s3cret"}), stream); }

std::string Delta(const std::string& delta, const std::string& finish = "null") {
  return R"({"id":"c1","model":"m-1","obfuscation":"xx","choices":[{"index":0,"delta":)" + delta +
         R"(,"finish_reason":)" + finish + "}],\"usage\":null}";
}

TEST(OpenAiAnswers, AStreamBecomesEventsAndUsage) {
  const Answer answer = OpenAi(
      {Delta(R"({"role":"assistant","content":""})"), Delta(R"({"reasoning_content":"hm"})"),
       Delta(R"({"content":"Hel"})"), Delta(R"({"content":"lo"})"), Delta("{}", "\"length\""),
       R"({"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,
           "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":10},
           "completion_tokens_details":{"reasoning_tokens":5}}})",
       "[DONE]"});
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.events, (Strings{"thought:hm", "text:Hel", "text:lo"}));
  EXPECT_TRUE(answer.decoder->finished());
  EXPECT_TRUE(answer.decoder->end().usage_known);
  EXPECT_EQ(answer.decoder->end().finish, ChatFinish::kLength);
  EXPECT_EQ(answer.decoder->model(), "m-1");
  EXPECT_EQ(answer.decoder->id(), "c1");
  EXPECT_EQ(answer.usage(), (ChatUsage{60, 30, 10, 0, 20, 5, 0}));
  EXPECT_EQ(answer.usage().all_input(), 100u);
}

TEST(OpenAiAnswers, WhatWasCountedBeforeTheEndIsNotWhatWasBilled) {
  const std::string early =
      R"({"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":0,"total_tokens":100}})";
  const std::string late =
      R"({"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":2,"total_tokens":102}})";
  const std::string nothing =
      R"({"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}})";
  const std::string text = Delta(R"({"content":"Hello"})");
  const std::string end = Delta("{}", "\"stop\"");
  EXPECT_FALSE(OpenAi({early, text, end, "[DONE]"}).decoder->end().usage_known);
  EXPECT_FALSE(OpenAi({text, end, nothing, "[DONE]"}).decoder->end().usage_known);
  const Answer both = OpenAi({early, text, end, late, "[DONE]"});
  EXPECT_TRUE(both.decoder->end().usage_known);
  EXPECT_EQ(both.usage().output, 2u);
}

TEST(OpenAiAnswers, ToolCallsAreNumberedAndNamedOnce) {
  const Answer answer = OpenAi(
      {Delta(
           R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]})"),
       Delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]})"),
       Delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"arguments":"1}"}}]})"),
       Delta(R"({"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]})"),
       Delta("{}", "\"tool_calls\""), "[DONE]"});
  EXPECT_EQ(answer.events,
            (Strings{"call0:a/f", "args0:{\"x\":", "args0:1}", "call1:b/g", "args1:{}"}));
  EXPECT_EQ(answer.decoder->end().finish, ChatFinish::kToolCalls);
  EXPECT_FALSE(answer.decoder->end().usage_known);
  // Ollama numbers all of them 0.
  EXPECT_EQ(
      OpenAi(
          {Delta(
               R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]})"),
           Delta(
               R"({"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]})")})
          .events,
      (Strings{"call0:a/f", "args0:{}", "call1:b/f", "args1:{}"}));
}

TEST(OpenAiAnswers, VendorsCountInTheirOwnWays) {
  const auto usage = [](const std::string& json) {
    return OpenAi({"{\"choices\":[],\"usage\":" + json + "}"});
  };
  EXPECT_EQ(usage(R"({"prompt_tokens":10,"completion_tokens":3,"prompt_cache_hit_tokens":4,
                      "prompt_cache_miss_tokens":6})")
                .usage(),
            (ChatUsage{6, 4, 0, 0, 3, 0, 0}));
  // Thoughts beside the completion: the total shows them.
  EXPECT_EQ(usage(R"({"prompt_tokens":10,"completion_tokens":3,"total_tokens":20,
                      "completion_tokens_details":{"reasoning_tokens":7}})")
                .usage(),
            (ChatUsage{10, 0, 0, 0, 10, 7, 0}));
  for (const char* bad :
       {R"({"prompt_tokens":-1,"completion_tokens":3})", R"({"completion_tokens":3})",
        R"({"prompt_tokens":1e300,"completion_tokens":3})", "[]", "7",
        R"({"prompt_tokens":18446744073709551615,"completion_tokens":1})",
        R"({"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}})",
        R"({"prompt_tokens":1,"completion_tokens":1,
            "completion_tokens_details":{"reasoning_tokens":"9"}})"}) {
    const Answer answer = usage(bad);
    EXPECT_EQ(answer.error, "") << bad;
    EXPECT_FALSE(answer.decoder->end().usage_known) << bad;
    EXPECT_EQ(answer.usage(), ChatUsage{}) << bad;
  }
}

TEST(OpenAiAnswers, RefusalsAndFiltersAreRefusals) {
  EXPECT_EQ(OpenAi({Delta("{}", "\"content_filter\"")}).decoder->end().finish,
            ChatFinish::kRefusal);
  const Answer answer = OpenAi({Delta(R"({"refusal":"no"})"), Delta("{}", "\"stop\"")});
  EXPECT_EQ(answer.events, (Strings{"text:no"}));
  EXPECT_EQ(answer.decoder->end().finish, ChatFinish::kRefusal);
}

TEST(OpenAiAnswers, ErrorsWithinAStreamAreTheVendors) {
  const auto failure = [](const std::string& data) {
    const Answer answer = OpenAi({Delta(R"({"content":"a"})"), data});
    EXPECT_NE(answer.error, "") << data;
    EXPECT_FALSE(answer.decoder->finished());
    return answer.decoder->failure().value_or(UpstreamFailure{FailureClass::kRedirect, ""});
  };
  EXPECT_EQ(failure(R"({"error":{"message":"my s3cret","type":"server_error"}})").message,
            "my ********");
  EXPECT_EQ(failure(R"({"error":{"type":"server_error"}})").kind, FailureClass::kServer);
  EXPECT_EQ(failure(R"({"error":{"code":"rate_limit_exceeded"}})").kind, FailureClass::kRateLimit);
  EXPECT_EQ(failure(R"({"error":{"code":"insufficient_quota"}})").kind, FailureClass::kBilling);
  EXPECT_EQ(failure(R"({"error":{"code":503}})").kind, FailureClass::kOverloaded);
  EXPECT_EQ(failure(R"({"error":"boom"})").message, "boom");
  EXPECT_EQ(failure(Delta("{}", "\"insufficient_system_resource\"")).kind,
            FailureClass::kOverloaded);
}

TEST(OpenAiAnswers, WhatMakesNoSenseIsAnError) {
  const std::string stop = Delta("{}", "\"stop\"");
  const std::string call =
      R"({"tool_calls":[{"index":1,"id":"a","function":{"name":"f","arguments":""}}]})";
  for (const Strings& stream : std::vector<Strings>{
           {"<html>"},
           {"[]"},
           {"7"},
           {"[DONE]"},
           {Delta(R"({"content":"a"})"), "[DONE]"},
           {R"({"choices":7})"},
           {R"({"choices":[7]})"},
           {R"({"choices":[{"index":1}]})"},
           {Delta("7")},
           {Delta(R"({"content":7})")},
           {Delta(R"({"content":["a"]})")},
           {Delta(R"({"tool_calls":{}})")},
           {Delta(R"({"tool_calls":[7]})")},
           {Delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"x"}}]})")},
           {Delta(R"({"tool_calls":[{"index":-1,"id":"a","function":{"name":"f"}}]})")},
           {Delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":""}}]})")},
           {Delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"arguments":{}}}]})")},
           {Delta(call), Delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"x"}}]})")},
           {Delta(call), Delta(R"({"content":"t"})"),
            Delta(R"({"tool_calls":[{"index":1,"function":{"arguments":"x"}}]})")},
           {Delta("{}", "\"weather\"")},
           {Delta("{}", "7")},
           {stop, Delta(R"({"content":"more"})")}}) {
    EXPECT_NE(OpenAi(stream).error, "") << stream.front();
  }
  // Nothing of it is more than was asked for.
  EXPECT_EQ(OpenAi({stop, stop, Delta(R"({"content":""})"), "[DONE]", "garbage"}).error, "");
}

TEST(OpenAiAnswers, ToolCallsHaveALimit) {
  Strings stream;
  for (int i = 0; i < 1025; ++i) {
    stream.push_back(Delta(fmt::format(
        R"({{"tool_calls":[{{"index":{},"id":"c{}","function":{{"name":"f"}}}}]}})", i, i)));
  }
  const Answer answer = OpenAi(stream);
  EXPECT_NE(answer.error, "");
  EXPECT_EQ(answer.events.size(), 1024u);
}

TEST(OpenAiAnswers, WholeAnswersAreTakenToo) {
  const Answer answer = Whole(MakeOpenAiChatDecoder({}), R"({"id":"x","model":"m","choices":[{
      "index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"t",
      "tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
                    {"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},
      "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})");
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.events,
            (Strings{"thought:t", "text:hi", "call0:a/f", "args0:{}", "call1:b/g", "args1:{}"}));
  EXPECT_TRUE(answer.decoder->finished());
  EXPECT_EQ(answer.usage().output, 2u);
  EXPECT_NE(Whole(MakeOpenAiChatDecoder({}), R"({"choices":[]})").error, "");
  std::vector<ChatEvent> events;
  EXPECT_FALSE(answer.decoder->DecodeWhole("{}", events)) << "there is one answer";
}

std::string Start(const std::string& usage = R"({"input_tokens":10,"output_tokens":1})") {
  return R"({"type":"message_start","message":{"id":"msg_1","model":"claude","content":[],"usage":)" +
         usage + "}}";
}
std::string Open(int index, const std::string& block) {
  return fmt::format(R"({{"type":"content_block_start","index":{},"content_block":{}}})", index,
                     block);
}
std::string Piece(int index, const std::string& delta) {
  return fmt::format(R"({{"type":"content_block_delta","index":{},"delta":{}}})", index, delta);
}
std::string Close(int index) {
  return fmt::format(R"({{"type":"content_block_stop","index":{}}})", index);
}
std::string End(const std::string& reason, const std::string& usage = R"({"output_tokens":9})") {
  return R"({"type":"message_delta","delta":{"stop_reason":")" + reason +
         R"(","stop_sequence":null},"usage":)" + usage + "}";
}
const std::string kStop = R"({"type":"message_stop"})";
const std::string kText = R"({"type":"text","text":""})";

TEST(AnthropicAnswers, EveryKindOfBlockIsRead) {
  const Answer answer =
      Anthropic({Start(),
                 R"({"type":"ping"})",
                 Open(0, R"({"type":"thinking","thinking":""})"),
                 Piece(0, R"({"type":"thinking_delta","thinking":"hm"})"),
                 Piece(0, R"({"type":"signature_delta","signature":"sig"})"),
                 Close(0),
                 Open(1, R"({"type":"redacted_thinking","data":"zz"})"),
                 Close(1),
                 Open(2, kText),
                 Piece(2, R"({"type":"text_delta","text":"a"})"),
                 Piece(2, R"({"type":"citations_delta","citation":{}})"),
                 Close(2),
                 Open(3, R"({"type":"server_tool_use","id":"s","name":"web_search"})"),
                 Piece(3, R"({"type":"input_json_delta","partial_json":"{}"})"),
                 Close(3),
                 Open(4, R"({"type":"tool_use","id":"t","name":"f","input":{}})"),
                 Piece(4, R"({"type":"input_json_delta","partial_json":""})"),
                 Piece(4, R"({"type":"input_json_delta","partial_json":"{\"x\":1}"})"),
                 Close(4),
                 Open(5, R"({"type":"tool_use","id":"u","name":"g","input":{}})"),
                 Close(5),
                 R"({"type":"something_new","index":9})",
                 End("tool_use"),
                 kStop,
                 "behind the end"});
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.events, (Strings{"thought:hm", "signed:sig", "hidden:zz", "text:a", "call0:t/f",
                                    "args0:{\"x\":1}", "call1:u/g", "args1:{}"}));
  EXPECT_TRUE(answer.decoder->finished());
  EXPECT_EQ(answer.decoder->end().finish, ChatFinish::kToolCalls);
  EXPECT_EQ(answer.decoder->model(), "claude");
  EXPECT_EQ(answer.decoder->id(), "msg_1");
  EXPECT_EQ(answer.usage(), (ChatUsage{10, 0, 0, 0, 9, 0, 0}));
  EXPECT_TRUE(answer.decoder->end().usage_known);
}

TEST(AnthropicAnswers, UsageIsTheHighestCountNeverASum) {
  const Answer answer = Anthropic(
      {Start(R"({"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":30,
                 "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},
                 "output_tokens":1})"),
       End("end_turn", R"({"input_tokens":40,"cache_read_input_tokens":5,
                           "cache_creation_input_tokens":45,"output_tokens":9,
                           "output_tokens_details":{"thinking_tokens":4},
                           "server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}})"),
       kStop});
  // The 15 that no part names have the dearer price.
  EXPECT_EQ(answer.usage(), (ChatUsage{40, 5, 10, 35, 9, 4, 3}));
  EXPECT_EQ(Anthropic({Start(R"({"input_tokens":1,"cache_creation_input_tokens":7})")})
                .usage()
                .cache_write,
            7u);
}

TEST(AnthropicAnswers, UsageIsKnownAtTheEndOnly) {
  const Answer cut = Anthropic({Start()});
  EXPECT_FALSE(cut.decoder->end().usage_known);
  EXPECT_EQ(cut.usage().input, 10u);
  EXPECT_FALSE(cut.decoder->finished());
  EXPECT_FALSE(Anthropic({Start(), End("end_turn", "null"), kStop}).decoder->end().usage_known);
  for (const char* bad :
       {R"({"output_tokens":-1})", R"({"output_tokens":"9"})", "[]",
        R"({"output_tokens":9,"cache_creation":7})", R"({"output_tokens":18446744073709551615})"}) {
    EXPECT_FALSE(Anthropic({Start(), End("end_turn", bad), kStop}).decoder->end().usage_known)
        << bad;
  }
}

TEST(AnthropicAnswers, EveryStopReasonHasAMeaning) {
  const auto finish = [](const std::string& reason) {
    return Anthropic({Start(), End(reason), kStop}).decoder->end().finish;
  };
  EXPECT_EQ(finish("end_turn"), ChatFinish::kStop);
  EXPECT_EQ(finish("max_tokens"), ChatFinish::kLength);
  EXPECT_EQ(finish("model_context_window_exceeded"), ChatFinish::kLength);
  EXPECT_EQ(finish("pause_turn"), ChatFinish::kLength);
  EXPECT_EQ(finish("refusal"), ChatFinish::kRefusal);
  EXPECT_EQ(finish("stop_sequence"), ChatFinish::kStopSequence);
  const Answer stopped = Anthropic(
      {Start(),
       R"({"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"}})"});
  EXPECT_EQ(stopped.decoder->end().stop_sequence, "END");
  EXPECT_NE(Anthropic({Start(), End("weather")}).error, "");
}

TEST(AnthropicAnswers, WhatMakesNoSenseIsAnError) {
  const std::string hi = Piece(0, R"({"type":"text_delta","text":"a"})");
  for (const Strings& stream : std::vector<Strings>{
           {"<html>"},
           {"[]"},
           {R"({"type":7})"},
           {kStop},
           {End("end_turn")},
           {Open(0, kText)},
           {Start(), Start()},
           {R"({"type":"message_start"})"},
           {Start(), hi},
           {Start(), Close(0)},
           {Start(), Open(0, kText), Open(1, kText)},
           {Start(), Open(0, kText), Piece(1, R"({"type":"text_delta","text":"a"})")},
           {Start(), Open(0, kText), Piece(0, R"({"type":"input_json_delta"})")},
           {Start(), Open(0, kText), Piece(0, R"({"type":"text_delta","text":7})")},
           {Start(), Open(0, kText), Piece(0, "7")},
           {Start(), Open(0, kText), End("end_turn")},
           {Start(), Open(0, kText), kStop},
           {Start(), kStop},
           {Start(), Open(0, "7")},
           {Start(), Open(-1, kText)},
           {Start(), End("end_turn"), Open(0, kText)},
           {Start(), Open(0, R"({"type":"tool_use","name":"f"})")},
           {Start(), Open(0, R"({"type":"tool_use","id":"a","name":"f","input":[]})")}}) {
    EXPECT_NE(Anthropic(stream).error, "") << stream.back();
  }
}

TEST(AnthropicAnswers, ErrorsAfterTheStatusAreTheVendors) {
  const Answer answer = Anthropic(
      {Start(), R"({"type":"error","error":{"type":"overloaded_error","message":"s3cret"}})"});
  ASSERT_TRUE(answer.decoder->failure());
  EXPECT_EQ(answer.decoder->failure()->kind, FailureClass::kOverloaded);
  EXPECT_EQ(answer.decoder->failure()->message, "********");
  EXPECT_FALSE(answer.decoder->finished());
  const auto decoder = MakeAnthropicDecoder({});
  std::vector<ChatEvent> events;
  EXPECT_FALSE(decoder->Decode("exception:throttlingException", R"({"message":"slow"})", events));
  EXPECT_EQ(decoder->failure()->kind, FailureClass::kRateLimit);
  EXPECT_EQ(decoder->failure()->message, "slow");
}

TEST(AnthropicAnswers, WholeAnswersAreTakenToo) {
  const Answer answer = Whole(MakeAnthropicDecoder({}), R"({"type":"message","id":"m","model":"c",
      "content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"f",
      "input":{"x":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}})");
  EXPECT_EQ(answer.error, "");
  EXPECT_EQ(answer.events, (Strings{"text:a", "call0:t/f", "args0:{\"x\":1}"}));
  EXPECT_TRUE(answer.decoder->end().usage_known);
  EXPECT_EQ(answer.usage(), (ChatUsage{3, 0, 0, 0, 4, 0, 0}));
  EXPECT_NE(Whole(MakeAnthropicDecoder({}), R"({"content":[]})").error, "");
  EXPECT_NE(Whole(MakeAnthropicDecoder({}), R"({"content":7,"stop_reason":"end_turn"})").error, "");
}

TEST(AnthropicFailures, MoneyIsToldFromTheRest) {
  const auto kind = [](int status, std::string_view body) {
    return DecodeUpstreamAnthropicFailure(status, body, {}).kind;
  };
  EXPECT_EQ(kind(429, R"({"error":{"type":"rate_limit_error"}})"), FailureClass::kRateLimit);
  EXPECT_EQ(kind(429, R"({"error":{"type":"rate_limit_error",
                          "details":{"error_code":"enforced_spend_limit_reached"}}})"),
            FailureClass::kBilling);
  EXPECT_EQ(kind(402, "x"), FailureClass::kBilling);
  EXPECT_EQ(kind(400, R"({"error":{"type":"billing_error"}})"), FailureClass::kBilling);
  EXPECT_EQ(kind(400, R"({"error":{"message":"Your credit balance is too low to ..."}})"),
            FailureClass::kBilling);
  EXPECT_EQ(kind(400, R"({"error":{"type":"invalid_request_error"}})"), FailureClass::kBadRequest);
  EXPECT_EQ(kind(529, ""), FailureClass::kOverloaded);
  EXPECT_EQ(kind(504, "[]"), FailureClass::kTimeout);
}

TEST(AnthropicCount, IsANumber) {
  EXPECT_EQ(DecodeUpstreamAnthropicCount(R"({"input_tokens":14})").value(), 14u);
  for (const char* bad : {"", "[]", "{}", R"({"input_tokens":-1})", R"({"input_tokens":"1"})"}) {
    EXPECT_FALSE(DecodeUpstreamAnthropicCount(bad)) << bad;
  }
}

// Whatever comes in whatever order, starts come before arguments and numbers in their order.
TEST(Answers, AnyOrderOfEventsKeepsTheContract) {
  const Strings openai = {
      Delta(R"({"content":"a"})"),
      Delta("{}", "\"stop\""),
      "[DONE]",
      "{}",
      Delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"x"}}]})"),
      Delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"y"}}]})"),
      Delta(R"({"tool_calls":[{"index":1,"id":"b","function":{"name":"g"}}]})")};
  const Strings anthropic = {Start(),
                             Open(0, kText),
                             Piece(0, R"({"type":"text_delta","text":"a"})"),
                             Close(0),
                             Open(0, R"({"type":"tool_use","id":"t","name":"f"})"),
                             Piece(0, R"({"type":"input_json_delta","partial_json":"x"})"),
                             End("end_turn"),
                             kStop};
  EXPECT_TRUE(rc::check([&] {
    const bool first = *rc::gen::arbitrary<bool>();
    const auto stream =
        *rc::gen::container<Strings>(rc::gen::elementOf(first ? openai : anthropic));
    const auto decoder = first ? MakeOpenAiChatDecoder({}) : MakeAnthropicDecoder({});
    std::vector<ChatEvent> events;
    for (const std::string& data : stream) {
      if (!decoder->Decode("message", data, events)) break;
    }
    std::size_t calls = 0;
    bool open = false;
    for (const ChatEvent& event : events) {
      if (const auto* start = std::get_if<ChatToolStart>(&event)) {
        RC_ASSERT(start->index == calls++);
        open = true;
      } else if (const auto* piece = std::get_if<ChatToolArguments>(&event)) {
        RC_ASSERT(open && piece->index + 1 == calls);
      } else {
        open = false;
      }
    }
  }));
}

}  // namespace
}  // namespace garrison
