#include "core/chat.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TEST(ChatCollector, JoinsPiecesOfOneKindAndKeepsTheOrder) {
  ChatCollector collector;
  ASSERT_TRUE(collector.Begin({.by = "openai/x", .model = "x-1", .id = "id", .attempts = 2}));
  const std::vector<ChatEvent> events = {ChatThinkingDelta{"I th", "", ""},
                                         ChatThinkingDelta{"ink", "", ""},
                                         ChatThinkingDelta{"", "sig", ""},
                                         ChatThinkingDelta{"again", "", ""},
                                         ChatThinkingDelta{"", "", "cipher"},
                                         ChatTextDelta{"Hel"},
                                         ChatTextDelta{"lo"},
                                         ChatToolStart{0, "a", "f"},
                                         ChatToolArguments{0, "{\"x\""},
                                         ChatToolArguments{0, ":1}"},
                                         ChatToolStart{1, "b", "g"},
                                         ChatTextDelta{"!"}};
  for (const ChatEvent& event : events) ASSERT_TRUE(collector.Take(event));

  EXPECT_EQ(collector.served().by, "openai/x");
  const auto& parts = collector.parts();
  ASSERT_EQ(parts.size(), 7u);
  EXPECT_EQ(std::get<ChatThinking>(parts[0].value).text, "I think");
  EXPECT_EQ(std::get<ChatThinking>(parts[0].value).signature, "sig");
  EXPECT_EQ(std::get<ChatThinking>(parts[1].value).text, "again");
  EXPECT_EQ(std::get<ChatThinking>(parts[2].value).redacted, "cipher");
  EXPECT_EQ(std::get<ChatText>(parts[3].value).text, "Hello");
  EXPECT_EQ(std::get<ChatToolCall>(parts[4].value).arguments, "{\"x\":1}");
  EXPECT_EQ(std::get<ChatToolCall>(parts[5].value).name, "g");
  EXPECT_EQ(std::get<ChatText>(parts[6].value).text, "!");
}

}  // namespace
}  // namespace garrison
