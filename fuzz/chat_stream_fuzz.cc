// Streams of vendors, cut into pieces anywhere: the same events as in one piece, and whatever they
// mean can be told to clients of both dialects.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "core/json.h"
#include "wire/anthropic.h"
#include "wire/openai_chat.h"
#include "wire/upstream_chat.h"

namespace {

using namespace garrison;

struct Read {
  std::vector<StreamEvent> events;
  bool whole = false;
};

Read Cut(std::string_view bytes, std::size_t piece) {
  Read read;
  const auto decoder = MakeSseDecoder();
  bool ok = true;
  for (std::size_t at = 0; at < bytes.size() && ok; at += piece) {
    ok = decoder->Add(bytes.substr(at, piece), read.events).has_value();
  }
  read.whole = ok && decoder->Finish(read.events).has_value();
  return read;
}

// Sends it on as the gateway would; every event is JSON.
void Tell(ChatStreamEncoder& client, const std::vector<ChatEvent>& events,
          const ChatOutcome& outcome) {
  std::string bytes = client.Begin({});
  for (const ChatEvent& event : events) bytes += client.Event(event);
  bytes += client.End(outcome);
  const Read read = Cut(bytes, bytes.size());
  CHECK(read.whole);
  for (const StreamEvent& event : read.events) {
    CHECK(event.data == "[DONE]" || ParseJson(event.data, 64).has_value());
  }
}

void Decode(UpstreamChatDecoder& decoder, const std::vector<StreamEvent>& stream) {
  std::vector<ChatEvent> events;
  for (const StreamEvent& event : stream) {
    const auto result = decoder.Decode(event.name, event.data, events);
    if (result) continue;
    CHECK(result.error().code == Code::kUnavailable);
    CHECK(!decoder.finished());
    break;
  }
  CHECK(!decoder.failure() || decoder.failure()->message.size() <= 203);
  ChatOutcome outcome;
  outcome.end = decoder.end();
  CHECK(outcome.end.usage.reasoning <= outcome.end.usage.output);
  std::size_t calls = 0;
  for (const ChatEvent& event : events) {
    if (const auto* start = std::get_if<ChatToolStart>(&event)) CHECK(start->index == calls++);
    if (const auto* piece = std::get_if<ChatToolArguments>(&event))
      CHECK(piece->index + 1 == calls);
  }
  Tell(*MakeOpenAiChatStream({"i", "m", 0}, true), events, outcome);
  Tell(*MakeAnthropicStream({"i", "m"}), events, outcome);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Read read = Cut(bytes, bytes.size() + 1);
  const Read pieces = Cut(bytes, 1 + data[0] % 16);
  CHECK(read.whole == pieces.whole && read.events.size() == pieces.events.size());
  for (std::size_t i = 0; i < read.events.size(); ++i) {
    CHECK(read.events[i].name == pieces.events[i].name);
    CHECK(read.events[i].data == pieces.events[i].data);
  }
  Decode(*MakeOpenAiChatDecoder({}), read.events);
  Decode(*MakeAnthropicDecoder({}), read.events);
  std::vector<ChatEvent> events;
  for (const auto& decoder : {MakeOpenAiChatDecoder({}), MakeAnthropicDecoder({})}) {
    CHECK(decoder->DecodeWhole(bytes, events).has_value() == decoder->finished());
  }
  CHECK(DecodeUpstreamAnthropicFailure(429, bytes, {}).message.size() <= 203);
  static_cast<void>(DecodeUpstreamAnthropicCount(bytes));
  return 0;
}
