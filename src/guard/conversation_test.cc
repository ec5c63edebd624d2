#include "guard/conversation.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "guard/test_support.h"

namespace garrison {
namespace {

using Turns = std::vector<Turn>;

Conversation Parse(std::string_view text) {
  return ParseConversation(text, LimitSettings()).value();
}

void ExpectBad(std::string_view text, const std::string& where, const std::string& message) {
  SCOPED_TRACE(text);
  ExpectError(ParseConversation(text, LimitSettings()), Code::kInvalidArgument, where, message);
}

const Turns kTwo = {{1, "Hi", "Hello"}, {2, "Bye", "See you"}};

// ---- every dialect
// ---------------------------------------------------------------------------------

TEST(ParseConversation, ReadsConversationWithSpeakers) {
  EXPECT_EQ(Parse(R"({"conversation": [
      {"turn": 1, "speaker": "user", "message": "Hi"},
      {"turn": 1, "speaker": "llm", "message": "Hello"},
      {"turn": 2, "speaker": "Human", "message": "Bye"},
      {"turn": 2, "speaker": "MODEL", "message": "See you"}]})")
                .turns,
            kTwo);
}

TEST(ParseConversation, ReadsTurnsWithTurnNumberAndSpeaker) {
  EXPECT_EQ(Parse(R"({"turns": [
      {"turn_number": 1, "speaker": "user", "message": "Hi"},
      {"turn_number": 2, "speaker": "ai", "message": "Hello"},
      {"turn_number": 3, "speaker": "user", "message": "Bye"},
      {"turn_number": 4, "speaker": "ai", "message": "See you"}]})")
                .turns,
            kTwo);
}

TEST(ParseConversation, ReadsTurnsWithBothSides) {
  EXPECT_EQ(Parse(R"({"turns": [{"turn": 1, "user": "Hi", "model": "Hello"},
                                {"turn": 2, "user": "Bye", "model": "See you"}]})")
                .turns,
            kTwo);
}

TEST(ParseConversation, ReadsMessagesWithRoles) {
  const Conversation conversation = Parse(R"({"model": "x", "turns": 2, "messages": [
      {"role": "system", "content": "Be kind."},
      {"role": "user", "content": "Hi"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
      {"role": "tool", "content": [1, 2]},
      {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
      {"role": "developer", "content": "Be brief."},
      {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}},
                                   {"type": "text", "text": "Bye"}]},
      {"role": "assistant", "content": "See you"}]})");
  EXPECT_EQ(conversation.turns, kTwo);
  EXPECT_EQ(conversation.skipped_system, 4u);
  EXPECT_EQ(conversation.partial_turns(), 0u);
}

TEST(ParseConversation, JoinsTextPartsLineByLine) {
  const Conversation conversation = Parse(R"([{"role": "user", "content":
      [{"type": "input_text", "text": "one"}, {"type": "text", "text": "two"}]}])");
  EXPECT_EQ(conversation.turns, (Turns{{1, "one\ntwo", std::nullopt}}));
}

TEST(ParseConversation, ReadsABareArrayOfAnyEntries) {
  EXPECT_EQ(Parse(R"([{"role": "user", "content": "Hi"}, {"speaker": "bot", "message": "Hello"},
                      {"user": "Bye", "model": "See you"}])")
                .turns,
            kTwo);
}

TEST(ParseConversation, ReadsWideCsv) {
  EXPECT_EQ(Parse("\xEF\xBB\xBFTurn,User,Model\r\n1,Hi,Hello\r\n2,Bye,See you\r\n").turns, kTwo);
  EXPECT_EQ(Parse("user,model\n\"Hi, \"\"you\"\"\nthere\",Hello\n").turns,
            (Turns{{1, "Hi, \"you\"\nthere", "Hello"}}));
}

TEST(ParseConversation, ReadsLongCsv) {
  EXPECT_EQ(Parse("turn,speaker,message\n1,user,Hi\n1,assistant,Hello\n2,U,Bye\n2,m,See you").turns,
            kTwo);
  const Conversation any_order =
      Parse("Note,Message,Speaker\nx,Be kind,system\ny,Hi,user\n,Hello,ai\n");
  EXPECT_EQ(any_order.turns, (Turns{{1, "Hi", "Hello"}}));
  EXPECT_EQ(any_order.skipped_system, 1u);
}

TEST(ParseConversation, ReadsManualLines) {
  EXPECT_EQ(Parse("User: Hi\nModel: Hello\n\n  human | Bye\r\nAI - See you\r\n").turns, kTwo);
  EXPECT_EQ(Parse("u:Hi, model\nbot|Hello - you: there").turns,
            (Turns{{1, "Hi, model", "Hello - you: there"}}));
  EXPECT_EQ(Parse("System: Be kind.\nUser: Hi\nModel: Hello").skipped_system, 1u);
}

TEST(ParseConversation, PairsByOrderAndFlagsWhatStaysAlone) {
  const Conversation conversation =
      Parse("Model: Welcome\nUser: a\nUser: b\nModel: c\nModel: d\nUser: e");
  EXPECT_EQ(conversation.turns, (Turns{{1, std::nullopt, "Welcome"},
                                       {2, "a", std::nullopt},
                                       {3, "b", "c"},
                                       {4, std::nullopt, "d"},
                                       {5, "e", std::nullopt}}));
  EXPECT_EQ(conversation.partial_turns(), 4u);
  EXPECT_EQ(Parse("Turn,User,Model\n1,Hi,\n2,,Hello\n").turns,
            (Turns{{1, "Hi", std::nullopt}, {2, std::nullopt, "Hello"}}));
  EXPECT_EQ(Parse(R"([{"user": "Hi"}, {"user": null, "model": "Hello"}])").turns,
            (Turns{{1, "Hi", std::nullopt}, {2, std::nullopt, "Hello"}}));
}

TEST(ParseConversation, NumbersMayHaveGapsAndStartAnywhere) {
  EXPECT_EQ(Parse(R"([{"turn": 0, "user": "Hi", "model": "Hello"},
                      {"turn": 7, "user": "Bye", "model": "See you"}])")
                .turns,
            kTwo);
}

TEST(ParseConversation, ReadsTheExamples) {
  const Conversation safe = Parse(ReadFixture("examples/safe_conversation.json"));
  EXPECT_EQ(safe.turns.size(), 7u);
  EXPECT_EQ(safe.partial_turns(), 0u);
  const Conversation eroding = Parse(ReadFixture("examples/eroding_conversation.json"));
  EXPECT_EQ(eroding.turns.size(), 7u);
  EXPECT_EQ(eroding.partial_turns(), 0u);
  EXPECT_EQ(eroding.skipped_system, 1u);
}

// ---- every mistake
// ---------------------------------------------------------------------------------

TEST(ParseConversation, RefusesWhatIsNoText) {
  using namespace std::string_literals;
  ExpectBad("", "", "empty file");
  ExpectBad(" \n\t", "", "empty file");
  ExpectBad("User: a\nModel: \xFF", "line 2", "UTF-8");
  ExpectBad("User: a\nModel: b\0c"s, "line 2", "NUL");
  ExpectBad(R"([{"user": "a\u0000b"}])", "[0]", "turn 1: expected a message, got one with a NUL");
}

TEST(ParseConversation, RefusesJsonThatIsNoConversation) {
  ExpectBad("{", "", "expected JSON");
  ExpectBad("{}", "", "conversation, turns or messages");
  ExpectBad(R"({"messages": "Hi"})", "", "conversation, turns or messages");
  ExpectBad("[]", "", "empty list");
  ExpectBad(R"({"conversation": []})", "conversation", "empty list");
  ExpectBad(R"({"turns": [{"user": "a"}], "messages": []})", "messages", "expected one list");
  ExpectBad(R"([{"role": "system", "content": "a"}])", "", "at least one message");
  ExpectBad(R"({"messages": [3]})", "messages[0]", "turn 1: expected an object, got a number");
  ExpectBad(R"({"messages": [{"text": "a"}]})", "messages[0]", "expected speaker and message");
}

TEST(ParseConversation, RefusesBadSpeakersAndMessages) {
  const std::string first = R"({"conversation": [{"turn": 1, "speaker": "user", "message": "a"},
      {"turn": 1, "speaker": "ai", "message": "b"}, )";
  ExpectBad(first + R"({"speaker": "bob", "message": "c"}]})", "conversation[2].speaker",
            "turn 2: expected the speaker user, human");
  ExpectBad(first + R"({"speaker": 5, "message": "c"}]})", "conversation[2].speaker",
            "turn 2: expected a string, got a number");
  ExpectBad(first + R"({"speaker": "user"}]})", "conversation[2].message",
            "turn 2: expected a message");
  ExpectBad(first + R"({"speaker": "user", "message": "  "}]})", "conversation[2].message",
            "turn 2: expected a message, got an empty text");
  ExpectBad(first + R"({"speaker": "user", "message": 7}]})", "conversation[2].message",
            "turn 2: expected a string, got a number");
  ExpectBad(first + R"({"speaker": "user", "message": null}]})", "conversation[2].message",
            "turn 2: expected a string, got null");
  ExpectBad(R"([{"role": "user"}])", "[0].content", "turn 1: expected a message, got none");
  ExpectBad(R"([{"role": "user", "content": [{"type": "text"}]}])", "[0].content[0].text",
            "expected the text of the part");
  ExpectBad(R"([{"role": "user", "content": ["a"]}])", "[0].content[0]", "expected a content part");
  ExpectBad(R"([{"role": "user", "content": [{"type": "image_url"}]}])", "[0].content",
            "empty text");
}

TEST(ParseConversation, RefusesBadPairs) {
  ExpectBad(
      R"({"turns": [{"turn": 1, "user": "a", "model": "b"}, {"turn": 2, "user": "", "model": "b"}]})",
      "turns[1].user", "turn 2: expected a message, got an empty text");
  ExpectBad(R"({"turns": [{"user": "a", "model": {}}]})", "turns[0].model",
            "turn 1: expected a string, got an object");
  ExpectBad(R"({"turns": [{"user": null, "model": null}]})", "turns[0]", "got neither");
}

TEST(ParseConversation, RefusesNumbersThatDoNotGoUp) {
  const std::string first = R"([{"turn": 2, "speaker": "user", "message": "a"},
      {"turn": 2, "speaker": "ai", "message": "b"}, )";
  ExpectBad(first + R"({"turn": 1, "speaker": "user", "message": "c"}])", "[2].turn",
            "turn 2: the turn number goes back from 2 to 1");
  ExpectBad(first + R"({"turn": 2, "speaker": "user", "message": "c"}])", "[2].turn",
            "turn 2: the turn number 2 repeats");
  ExpectBad(first + R"({"turn": 2, "speaker": "ai", "message": "c"}])", "[2].turn", "repeats");
  ExpectBad(first + R"({"turn": -1, "speaker": "user", "message": "c"}])", "[2].turn", "from 0 to");
  ExpectBad(first + R"({"turn": 1.5, "speaker": "user", "message": "c"}])", "[2].turn",
            "expected a whole number, got a number (1.5)");
  ExpectBad(first + R"({"turn": "3", "speaker": "user", "message": "c"}])", "[2].turn",
            "expected a whole number, got a string");
  ExpectBad(first + R"({"turn": 18446744073709551615, "speaker": "user", "message": "c"}])",
            "[2].turn", "from 0 to");
  ExpectBad(R"({"turns": [{"turn": 1, "user": "a"}, {"turn": 1, "user": "b"}]})", "turns[1]",
            "repeats");
}

TEST(ParseConversation, RefusesBadCsvRows) {
  ExpectBad("Turn,User,Model\n1,a,b\n2,,\n", "line 3",
            "turn 2: expected a user or a model message");
  ExpectBad("Turn,User,Model\n2,a,b\n1,a,b\n", "line 3",
            "turn 2: the turn number goes back from 2 to 1");
  ExpectBad("Turn,User,Model\nx,a,b\n", "line 2",
            "turn 1: expected a whole number in the column turn");
  ExpectBad("Turn,User,Model\n1,a\n", "line 2", "expected 3 fields");
  ExpectBad("Turn,User,Model\n1,\"a\n\nb,c\n", "line 2", "never closed");
  ExpectBad("Turn,User,Model\n", "line 1", "at least one message");
  ExpectBad("turn,speaker,message\n1,user,a\n1,bob,b\n", "line 3", "turn 1: expected the speaker");
  ExpectBad("turn,speaker,message\n1,user,\" \"\n", "line 2",
            "turn 1: expected a message, got an empty");
}

TEST(ParseConversation, RefusesManualLinesWithoutSpeaker) {
  ExpectBad("User: a\nModel: b\n\nand more", "line 4", "turn 2: expected \"User: ...\"");
  ExpectBad("User: a\nBob: b", "line 2", "got \"Bob: b\"");
  ExpectBad("User: a\nModel:", "line 2", "turn 1: expected a message, got an empty text");
  ExpectBad("Dear diary", "line 1", "JSON or a CSV header");
  ExpectBad("System: only", "line 1", "at least one message");
}

TEST(ParseConversation, KeepsItsLimits) {
  LimitSettings limits;
  limits.conversation_turns = 2;
  limits.json_depth = 3;
  const std::string two = "User: a\nModel: b\nUser: a\nModel: b\n";
  EXPECT_TRUE(ParseConversation(two, limits).has_value());
  ExpectError(ParseConversation(two + "User: c", limits), Code::kInvalidArgument, "turn 3",
              "limits.conversation_turns");
  ExpectError(ParseConversation(R"([{"user":"a"},{"user":"b"},{"user":"c"}])", limits),
              Code::kInvalidArgument, "turn 3", "expected at most 2 turns");
  ExpectError(ParseConversation("turn,speaker,message\n1,ai,a\n2,ai,b\n3,ai,c\n", limits),
              Code::kInvalidArgument, "turn 3", "expected at most 2 turns");
  ExpectError(ParseConversation(R"([[[[]]]])", limits), Code::kInvalidArgument, "",
              "deeper than 3");
  ExpectBad(std::string(1'000'000, '['), "", "deeper than 64");
}

// ---- round trip
// ------------------------------------------------------------------------------------

RC_GTEST_PROP(ConversationProperty, ReadsBackItsOwnJson, ()) {
  const auto side = rc::gen::maybe(rc::gen::map(
      rc::gen::container<std::string>(rc::gen::element('a', ' ', '"', '\n', '\\', ':', ',')),
      [](std::string text) { return "x" + std::move(text); }));
  Conversation conversation;
  const int size = *rc::gen::inRange(1, 20);
  for (int i = 1; i <= size; ++i) {
    const auto user = *side;
    const auto model = user ? *side : rc::Maybe<std::string>("reply");
    conversation.turns.push_back({i, user ? std::optional(*user) : std::nullopt,
                                  model ? std::optional(*model) : std::nullopt});
  }
  RC_ASSERT(Parse(ToJson(conversation)).turns == conversation.turns);
}

}  // namespace
}  // namespace garrison
