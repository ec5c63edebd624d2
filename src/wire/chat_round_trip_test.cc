// What a client's stream says is what its dialect's decoder of vendors reads.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "core/json.h"
#include "wire/anthropic.h"
#include "wire/openai_chat.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using Strings = std::vector<std::string>;

Strings Lines(const std::vector<ChatEvent>& events, bool signatures) {
  ChatCollector collector;
  for (const ChatEvent& event : events) EXPECT_TRUE(collector.Take(event));
  Strings lines;
  for (const ChatPart& part : collector.parts()) {
    if (const auto* text = std::get_if<ChatText>(&part.value)) {
      lines.push_back("text:" + text->text);
    } else if (const auto* call = std::get_if<ChatToolCall>(&part.value)) {
      lines.push_back("call:" + call->id + "/" + call->name + call->arguments);
    } else {
      const auto& thought = std::get<ChatThinking>(part.value);
      lines.push_back("thought:" + thought.text + "/" + (signatures ? thought.signature : "") +
                      "/" + (signatures ? thought.redacted : ""));
    }
  }
  return lines;
}

std::vector<ChatEvent> AnyEvents(bool signatures) {
  std::vector<ChatEvent> events;
  std::size_t calls = 0;
  for (const int kind : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 5))) {
    const std::string text = *rc::gen::element<std::string>("a", "\n", "\xc3\xa9\"", "data: x\r");
    if (kind == 0) events.emplace_back(ChatTextDelta{text});
    if (kind == 1) events.emplace_back(ChatThinkingDelta{text, "", ""});
    if (kind == 2 && signatures) events.emplace_back(ChatThinkingDelta{"", "sig", ""});
    if (kind == 3 && signatures) events.emplace_back(ChatThinkingDelta{"", "", "zz"});
    if (kind == 4) {
      events.emplace_back(ChatToolStart{calls, fmt::format("c{}", calls), "f"});
      events.emplace_back(ChatToolArguments{calls, "{\"x\":"});
      events.emplace_back(ChatToolArguments{calls++, "1}"});
    }
  }
  return events;
}

ChatOutcome AnyOutcome() {
  ChatOutcome outcome;
  const auto count = rc::gen::inRange<std::uint64_t>(0, 1000);
  outcome.end.finish = *rc::gen::element(ChatFinish::kStop, ChatFinish::kLength,
                                         ChatFinish::kToolCalls, ChatFinish::kRefusal);
  outcome.end.usage = {1 + *count, *count, *count, *count, *count, 0, 0};
  return outcome;
}

std::vector<ChatEvent> ReadBack(ChatStreamEncoder& encoder, UpstreamChatDecoder& decoder,
                                const std::vector<ChatEvent>& events, const ChatOutcome& outcome) {
  std::string bytes = encoder.Begin({});
  for (const ChatEvent& event : events) bytes += encoder.Event(event);
  bytes += encoder.End(outcome);
  const auto cutter = MakeSseDecoder();
  std::vector<StreamEvent> stream;
  RC_ASSERT(cutter->Add(bytes, stream).has_value());
  RC_ASSERT(cutter->Finish(stream).has_value());
  std::vector<ChatEvent> read;
  for (const StreamEvent& event : stream) {
    const auto result = decoder.Decode(event.name, event.data, read);
    if (!result) RC_FAIL(result.error().message + ": " + event.data);
  }
  RC_ASSERT(decoder.finished());
  RC_ASSERT(decoder.end().usage_known);
  RC_ASSERT(decoder.end().finish == outcome.end.finish);
  return read;
}

TEST(RoundTrip, AnthropicsStreamSaysAllOfIt) {
  EXPECT_TRUE(rc::check([] {
    const auto events = AnyEvents(true);
    const ChatOutcome outcome = AnyOutcome();
    const auto encoder = MakeAnthropicStream({"msg_1", "m"});
    const auto decoder = MakeAnthropicDecoder({});
    const auto read = ReadBack(*encoder, *decoder, events, outcome);
    RC_ASSERT(Lines(read, true) == Lines(events, true));
    RC_ASSERT(decoder->end().usage == outcome.end.usage);
    RC_ASSERT(decoder->id() == "msg_1");
  }));
}

TEST(RoundTrip, OpenAisStreamSaysAllButSignatures) {
  EXPECT_TRUE(rc::check([] {
    const auto events = AnyEvents(false);
    const ChatOutcome outcome = AnyOutcome();
    const auto encoder = MakeOpenAiChatStream({"chatcmpl-1", "m", 7}, true);
    const auto decoder = MakeOpenAiChatDecoder({});
    const auto read = ReadBack(*encoder, *decoder, events, outcome);
    RC_ASSERT(Lines(read, false) == Lines(events, false));
    const ChatUsage& usage = decoder->end().usage;
    RC_ASSERT(usage.all_input() == outcome.end.usage.all_input());
    RC_ASSERT(usage.cache_read == outcome.end.usage.cache_read);
    RC_ASSERT(usage.output == outcome.end.usage.output);
  }));
}

TEST(RoundTrip, WholeRepliesAreReadBack) {
  EXPECT_TRUE(rc::check([] {
    const auto events = AnyEvents(true);
    const ChatOutcome outcome = AnyOutcome();
    ChatCollector collector;
    for (const ChatEvent& event : events) RC_ASSERT(collector.Take(event).has_value());
    std::vector<ChatEvent> read;
    const auto anthropic = MakeAnthropicDecoder({});
    RC_ASSERT(
        anthropic->DecodeWhole(EncodeAnthropicMessage({"i", "m"}, collector.parts(), outcome), read)
            .has_value());
    RC_ASSERT(anthropic->end().usage == outcome.end.usage);
    RC_ASSERT(Lines(read, true) == Lines(events, true));
    const auto openai = MakeOpenAiChatDecoder({});
    RC_ASSERT(openai->DecodeWhole(EncodeOpenAiChat({"i", "m", 0}, collector.parts(), outcome), read)
                  .has_value());
    RC_ASSERT(openai->end().finish == outcome.end.finish);
  }));
}

}  // namespace
}  // namespace garrison
