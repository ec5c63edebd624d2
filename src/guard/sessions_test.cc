#include "guard/sessions.h"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <thread>

#include "guard/memory_conversations.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// Like another store, with somebody who is ahead of us as often as is wished.
class ContendedStore final : public ConversationStore {
 public:
  explicit ContendedStore(ConversationStore& store) : store_(store) {}
  Result<std::optional<StoredConversation>> Load(const ConversationKey& key) override {
    return store_.Load(key);
  }
  Result<bool> Save(const ConversationKey& key, std::string_view state, std::int64_t expected,
                    std::int64_t expires_ms) override {
    if (before) before();
    return store_.Save(key, state, expected, expires_ms);
  }
  Result<bool> Delete(const ConversationKey& key) override { return store_.Delete(key); }
  Result<bool> Sweep() override {
    ++sweeps;
    return sweeps < 4;
  }
  int sweeps = 0;
  ConversationStoreStats stats() const override { return store_.stats(); }

  std::function<void()> before;

 private:
  ConversationStore& store_;
};

class GuardSessionsTest : public testing::Test {
 protected:
  GuardSessions Make() { return MakeOver(store_); }
  GuardSessions MakeOver(ConversationStore& store) {
    return GuardSessions(guard_, limits_, ReplayProvenance(guard_, "full:2"), store, clock_,
                         [this] { return fmt::format("fresh-{}", ++ids_); });
  }
  static SessionTurn In(const std::string& id, std::optional<std::int64_t> number = {}) {
    return {.tenant = "", .id = id, .number = number, .idempotency_key = "", .content = {}};
  }
  static SessionTurn Keyed(const std::string& key, const std::string& user = "hi",
                           std::optional<std::string> id = "a") {
    return {.tenant = "",
            .id = std::move(id),
            .number = {},
            .idempotency_key = key,
            .content = ContentHash(user, "hello")};
  }
  static SessionScores Scores(double model, std::optional<double> user) {
    SessionScores scores;
    scores.compat.risk = {model, user};
    scores.compat.agreement = 0.25;
    scores.compat.tokens = 9;
    return scores;
  }
  static SessionScores Scores(double risk = 0.5) { return Scores(risk, risk); }
  // Takes a turn; its number in the conversation.
  static int Turn(GuardSessions& sessions, const std::string& id, double risk = 0.5) {
    return sessions.Step(In(id), Scores(risk)).value().turn.compat.metrics.turn;
  }

  GuardSettings guard_;
  LimitSettings limits_;
  ManualClock clock_;
  MemoryConversations store_{100, clock_};
  std::atomic<int> ids_ = 0;
};

TEST_F(GuardSessionsTest, KeepsConversationsApart) {
  GuardSessions sessions = Make();
  EXPECT_EQ(Turn(sessions, "a", 0.25), 1);
  EXPECT_EQ(Turn(sessions, "b", 1.0), 1);
  const auto second = sessions.Step(In("a"), Scores());
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->conversation_id, "a");
  EXPECT_EQ(second->turn.compat.metrics.turn, 2);
  EXPECT_EQ(second->turn.compat.metrics.v_model, 0.25);
  EXPECT_EQ(sessions.store_stats().conversations, 2u);
}

TEST_F(GuardSessionsTest, StepsLikeKinematics) {
  GuardSessions sessions = Make();
  Kinematics kinematics(guard_);
  for (const double risk : {0.1, 0.9, 0.3, 1.7}) {
    EXPECT_EQ(sessions.Step(In("a"), Scores(risk, risk / 2)).value().turn.compat.metrics,
              kinematics.Step({risk, risk / 2}).value());
  }
}

TEST_F(GuardSessionsTest, MakesAnIdWhenThereIsNone) {
  GuardSessions sessions = Make();
  EXPECT_EQ(sessions.Step({}, Scores()).value().conversation_id, "fresh-1");
  EXPECT_EQ(sessions.Step({}, Scores()).value().conversation_id, "fresh-2");
  EXPECT_EQ(Turn(sessions, "fresh-1"), 2);
}

TEST_F(GuardSessionsTest, ChecksIds) {
  GuardSessions sessions = Make();
  EXPECT_TRUE(sessions.Step(In(std::string(128, '~')), Scores()).has_value());
  for (const std::string& bad : {std::string(), std::string(129, 'a'), std::string("a\n"),
                                 std::string("\u00e9"), std::string("\x7f")}) {
    ExpectError(sessions.Step(In(bad), Scores()), Code::kInvalidArgument, "conversation_id",
                "1 to 128 printable ASCII");
  }
  EXPECT_EQ(sessions.store_stats().conversations, 1u);
}

TEST_F(GuardSessionsTest, ForgetsAfterTheTimeToLive) {
  guard_.conversation_ttl_s = 60;
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  Turn(sessions, "b");
  clock_.Advance(59s);
  EXPECT_EQ(Turn(sessions, "a"), 2) << "and lives on from here";
  clock_.Advance(1s);
  EXPECT_EQ(Turn(sessions, "c"), 1);
  EXPECT_EQ(sessions.store_stats().expired, 1u);
  EXPECT_EQ(sessions.store_stats().conversations, 2u);
  EXPECT_EQ(Turn(sessions, "b"), 1);
  EXPECT_EQ(Turn(sessions, "a"), 3);
  clock_.Advance(60s);
  EXPECT_EQ(Turn(sessions, "a"), 1);
  EXPECT_EQ(sessions.store_stats().expired, 4u);
  EXPECT_EQ(sessions.store_stats().evicted, 0u);
}

TEST_F(GuardSessionsTest, TheLongestUnusedMakesRoom) {
  MemoryConversations two(2, clock_);
  GuardSessions sessions = MakeOver(two);
  Turn(sessions, "a");
  Turn(sessions, "b");
  Turn(sessions, "a");
  EXPECT_EQ(Turn(sessions, "c"), 1);
  EXPECT_EQ(sessions.store_stats().conversations, 2u);
  EXPECT_EQ(sessions.store_stats().evicted, 1u);
  EXPECT_EQ(Turn(sessions, "a"), 3);
  EXPECT_EQ(Turn(sessions, "b"), 1) << "was evicted";
}

TEST_F(GuardSessionsTest, AConversationHasALastTurn) {
  limits_.conversation_turns = 2;
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  Turn(sessions, "a");
  ExpectError(sessions.Step(In("a"), Scores()), Code::kResourceExhausted, "conversation_id",
              "start a new conversation_id");
  EXPECT_EQ(Turn(sessions, "b"), 1);
}

TEST_F(GuardSessionsTest, ARefusedTurnLeavesNoTrace) {
  GuardSessions sessions = Make();
  const SessionScores bad = Scores(std::numeric_limits<double>::quiet_NaN(), 0.5);
  ExpectError(sessions.Step(In("a"), bad), Code::kInvalidArgument, "turn 1", "nan");
  EXPECT_EQ(sessions.store_stats().conversations, 0u);
  Turn(sessions, "a");
  ExpectError(sessions.Step(In("a"), bad), Code::kInvalidArgument, "turn 2", "nan");
  EXPECT_EQ(Turn(sessions, "a"), 2);
}

TEST_F(GuardSessionsTest, EndsOnRequest) {
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  EXPECT_TRUE(sessions.End("", "a"));
  ExpectError(sessions.End("", "a"), Code::kNotFound, "conversation_id", "no such conversation");
  EXPECT_EQ(Turn(sessions, "a"), 1);
}

TEST_F(GuardSessionsTest, CountsEveryTurnOfManyThreads) {
  constexpr std::int64_t kThreads = 4;
  constexpr int kRounds = 500;
  constexpr int kIds = 7;
  limits_.conversation_turns = kThreads * kRounds;
  MemoryConversations many(10'000, clock_);
  GuardSessions sessions = MakeOver(many);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        for (int id = 0; id < kIds; ++id) Turn(sessions, fmt::format("id-{}", id));
        sessions.Step({}, Scores(0.5, std::nullopt)).value();
        if (i % 100 == 0) clock_.Advance(1ms);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int id = 0; id < kIds; ++id) {
    ExpectError(sessions.Step(In(fmt::format("id-{}", id)), Scores()), Code::kResourceExhausted,
                "conversation_id", "2000 turns");
  }
  EXPECT_EQ(sessions.store_stats().conversations,
            static_cast<std::size_t>(kIds + kThreads * kRounds));
}

TEST_F(GuardSessionsTest, StaysBoundedUnderManyThreads) {
  MemoryConversations sixteen(16, clock_);
  GuardSessions sessions = MakeOver(sixteen);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        Turn(sessions, fmt::format("{}-{}", t, i % 40));
        if (i % 50 == 0) static_cast<void>(sessions.End("", fmt::format("{}-{}", t, i % 40)));
        EXPECT_LE(sessions.store_stats().conversations, 16u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(sessions.store_stats().evicted, 0u);
}

// ---------------------------------------------------------------- order and repetition

TEST_F(GuardSessionsTest, ATurnWithANumberMustBeTheNext) {
  GuardSessions sessions = Make();
  ExpectError(sessions.Step(In("a", 2), Scores()), Code::kAborted, "turn",
              "expected turn 1 of this conversation, got 2; there is none yet");
  EXPECT_EQ(sessions.store_stats().conversations, 0u);
  EXPECT_TRUE(sessions.Step(In("a", 1), Scores()));
  const auto again = sessions.Step(In("a", 1), Scores());
  ExpectError(again, Code::kAborted, "turn", "expected turn 2 of this conversation, got 1");
  EXPECT_EQ(again.error().reason, "turn_out_of_order");
  ExpectError(sessions.Step(In("a", 3), Scores()), Code::kAborted, "turn", "expected turn 2");
  EXPECT_TRUE(sessions.Step(In("a", 2), Scores()));
}

TEST_F(GuardSessionsTest, AKeyIsAnsweredOnceAndRepeatedBitForBit) {
  GuardSessions sessions = Make();
  Turn(sessions, "a", 0.25);
  const SessionStep first = sessions.Step(Keyed("k1"), Scores(0.9, 0.4)).value();
  EXPECT_FALSE(first.repeated);
  Turn(sessions, "a", 0.75);
  // The scores do not count any more, whatever they are.
  const SessionStep second = sessions.Step(Keyed("k1"), Scores(0.1)).value();
  EXPECT_TRUE(second.repeated);
  EXPECT_EQ(second.turn.compat.metrics, first.turn.compat.metrics);
  EXPECT_EQ(second.turn.compat.verdict, first.turn.compat.verdict);
  EXPECT_EQ(second.turn.compat.scores.toxic_sycophancy, first.turn.compat.scores.toxic_sycophancy);
  EXPECT_EQ(second.turn.compat.scores.tokens, 9u);
  EXPECT_EQ(sessions.repeats(), 1u);
  EXPECT_EQ(Turn(sessions, "a"), 4);
}

TEST_F(GuardSessionsTest, AKeyIsForOneTurn) {
  GuardSessions sessions = Make();
  ASSERT_TRUE(sessions.Step(Keyed("k1"), Scores()));
  const auto other = sessions.Step(Keyed("k1", "other words"), Scores());
  ExpectError(other, Code::kAlreadyExists, "idempotency_key", "turn 1 of this conversation");
  EXPECT_EQ(other.error().reason, "idempotency_key_reused");
  SessionTurn numbered = Keyed("k1");
  numbered.number = 2;
  ExpectError(sessions.Step(numbered, Scores()), Code::kAlreadyExists, "idempotency_key",
              "as another turn");
  numbered.number = 1;
  EXPECT_TRUE(sessions.Step(numbered, Scores()).value().repeated);
  // In another conversation it is another key.
  EXPECT_FALSE(sessions.Step(Keyed("k1", "other words", "b"), Scores()).value().repeated);
  for (const std::string& bad : {std::string(129, 'k'), std::string("\n")}) {
    ExpectError(sessions.Step(Keyed(bad), Scores()), Code::kInvalidArgument, "idempotency_key",
                "1 to 128 printable ASCII");
  }
}

TEST_F(GuardSessionsTest, AKeyFindsTheConversationThatItBegan) {
  GuardSessions sessions = Make();
  const SessionStep first = sessions.Step(Keyed("k1", "hi", std::nullopt), Scores()).value();
  const SessionStep second = sessions.Step(Keyed("k1", "hi", std::nullopt), Scores()).value();
  EXPECT_EQ(first.conversation_id, second.conversation_id);
  EXPECT_TRUE(second.repeated);
  // Another tenant's is another, and when the key has been forgotten nothing goes wrong.
  SessionTurn others = Keyed("k1", "hi", std::nullopt);
  others.tenant = "bob";
  EXPECT_NE(sessions.Step(others, Scores())->conversation_id, first.conversation_id);
  for (std::size_t i = 0; i < kRecentTurns; ++i) Turn(sessions, first.conversation_id);
  ExpectError(sessions.Step(Keyed("k1", "hi", std::nullopt), Scores()), Code::kAborted, "turn",
              "expected turn 18 of this conversation, got 1");
}

TEST_F(GuardSessionsTest, WhoWasAheadIsSeen) {
  ContendedStore contended(store_);
  GuardSessions sessions = MakeOver(contended);
  GuardSessions others = Make();
  int times = 3;
  contended.before = [&] {
    if (times-- > 0) Turn(others, "a", 0.25);
  };
  const SessionStep step = sessions.Step(In("a"), Scores(0.75)).value();
  EXPECT_EQ(step.turn.compat.metrics.turn, 4);
  EXPECT_EQ(step.turn.compat.metrics.v_model, 0.5);
  EXPECT_EQ(sessions.conflicts(), 3u);
  times = 1;
  ExpectError(sessions.Step(In("a", 5), Scores()), Code::kAborted, "turn", "expected turn 6");
}

TEST_F(GuardSessionsTest, TryingAgainHasAnEnd) {
  ContendedStore contended(store_);
  limits_.conversation_turns = 1'000;
  GuardSessions sessions = MakeOver(contended);
  GuardSessions others = Make();
  contended.before = [&] { Turn(others, "a"); };
  const auto step = sessions.Step(In("a"), Scores());
  ExpectError(step, Code::kAborted, "conversation_id", "too many requests");
  EXPECT_EQ(step.error().retry_after, 1'000ms);
}

TEST_F(GuardSessionsTest, NumbersEveryTurnOfManyThreadsOnce) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 200;
  limits_.conversation_turns = kThreads * kRounds;
  GuardSessions sessions = Make();
  std::vector<std::vector<int>> numbers(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i)
        numbers[static_cast<std::size_t>(t)].push_back(Turn(sessions, "a"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int> seen(kThreads * kRounds + 1);
  for (const auto& of_thread : numbers) {
    EXPECT_TRUE(std::is_sorted(of_thread.begin(), of_thread.end()));
    for (const int number : of_thread) ++seen.at(static_cast<std::size_t>(number));
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), kThreads * kRounds);
}

// ---------------------------------------------------------------- tenants, export and import

TEST_F(GuardSessionsTest, AnotherTenantsConversationDoesNotExist) {
  GuardSessions sessions = Make();
  SessionTurn turn = In("a");
  turn.tenant = "alice";
  ASSERT_TRUE(sessions.Step(turn, Scores()));
  const auto others = sessions.Find("bob", "a");
  const auto nobodys = sessions.Find("bob", "b");
  ExpectError(others, Code::kNotFound, "conversation_id", "no such conversation");
  EXPECT_EQ(others.error(), nobodys.error());
  EXPECT_EQ(sessions.End("bob", "a").error(), sessions.End("bob", "b").error());
  EXPECT_EQ(sessions.Find("", "a").error(), nobodys.error());
  turn.tenant = "bob";
  EXPECT_EQ(sessions.Step(turn, Scores())->turn.compat.metrics.turn, 1);
  EXPECT_TRUE(sessions.End("bob", "a"));
  EXPECT_EQ(sessions.Find("alice", "a")->kinematics.turns, 1);
}

TEST_F(GuardSessionsTest, AnImportedConversationGoesOnWithTheSameBits) {
  GuardSessions here = Make();
  MemoryConversations elsewhere(10, clock_);
  GuardSessions there = MakeOver(elsewhere);
  for (const double risk : {0.1, 0.9, 0.3}) Turn(here, "a", risk);
  ASSERT_TRUE(here.Step(Keyed("k1"), Scores(0.6)));
  const json exported = json::parse(StateJson(here.Find("", "a").value()).dump());
  clock_.Advance(10min);
  ASSERT_TRUE(there.Import("carol", "a", exported, false));
  SessionTurn turn = Keyed("k1");
  turn.tenant = "carol";
  EXPECT_TRUE(there.Step(turn, Scores(0.6)).value().repeated);
  turn = In("a", 5);
  turn.tenant = "carol";
  EXPECT_EQ(there.Step(turn, Scores(1.7)).value().turn.compat.metrics,
            here.Step(In("a"), Scores(1.7)).value().turn.compat.metrics);
}

TEST_F(GuardSessionsTest, AnImportReplacesOnlyWhenItIsTold) {
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  const json exported = json::parse(StateJson(sessions.Find("", "a").value()).dump());
  Turn(sessions, "a");
  ExpectError(sessions.Import("", "a", exported, false), Code::kAlreadyExists, "conversation_id",
              "?replace=true");
  EXPECT_EQ(sessions.Find("", "a")->kinematics.turns, 2);
  ASSERT_TRUE(sessions.Import("", "a", exported, true));
  EXPECT_EQ(Turn(sessions, "a"), 2);
  ExpectError(sessions.Import("", "b", exported, false), Code::kInvalidArgument, "conversation_id",
              "another");
  ExpectError(sessions.Import("", "", exported, false), Code::kInvalidArgument, "conversation_id",
              "printable");
  // A clock of the future keeps nothing alive for longer.
  json future = exported;
  for (const char* name : {"created_ms", "last_use_ms"}) future[name] = std::int64_t{1} << 53;
  future["recent"][0]["at_ms"] = std::int64_t{1} << 53;
  const SessionState state = sessions.Import("", "a", future, true).value();
  EXPECT_EQ(state.last_use_ms, 1'767'225'600'000);
  EXPECT_EQ(state.created_ms, state.last_use_ms);
  EXPECT_EQ(state.recent[0].at_ms, state.last_use_ms);
  clock_.Advance(std::chrono::seconds(guard_.conversation_ttl_s));
  ExpectError(sessions.Find("", "a"), Code::kNotFound, "conversation_id", "forgotten");
}

TEST_F(GuardSessionsTest, AStateOfAnotherEmbedderOrOtherSettingsIsRefused) {
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  const json exported = json::parse(StateJson(sessions.Find("", "a").value()).dump());
  Provenance provenance = ReplayProvenance(guard_, "full:2");
  provenance.model_id = "another";
  GuardSessions other(guard_, limits_, provenance, store_, clock_, [] { return std::string("x"); });
  const auto refused = [&](GuardSessions& by) {
    ExpectError(by.Step(In("a"), Scores()), Code::kFailedPrecondition, "conversation_id",
                "begun with another model");
    ExpectError(by.Import(
                    "", "b",
                    [&] {
                      json copy = exported;
                      copy["conversation_id"] = "b";
                      return copy;
                    }(),
                    false),
                Code::kFailedPrecondition, "conversation_id", "begun with another model");
  };
  refused(other);
  guard_.weight_a = 2.0;
  GuardSessions heavier = Make();
  refused(heavier);
  EXPECT_EQ(sessions.Find("", "a")->kinematics.turns, 1);
  // It can be taken elsewhere and ended; here its numbers would be given other meanings.
  ExpectError(other.Find("", "a"), Code::kFailedPrecondition, "conversation_id", "another model");
  EXPECT_TRUE(other.Export("", "a"));
  EXPECT_TRUE(other.End("", "a"));
  EXPECT_TRUE(other.Step(In("a"), Scores()));
}

// More than it drops at once: turn after turn until it is done, and then a minute's rest.
TEST_F(GuardSessionsTest, SweepsAsLongAsThereIsMore) {
  ContendedStore store(store_);
  GuardSessions sessions = MakeOver(store);
  for (int turn = 0; turn < 10; ++turn) Turn(sessions, "a");
  EXPECT_EQ(store.sweeps, 4);
  clock_.Advance(61s);
  Turn(sessions, "a");
  EXPECT_EQ(store.sweeps, 5);
}

TEST_F(GuardSessionsTest, ADamagedStateIsNamedAndCanBeDeleted) {
  GuardSessions sessions = Make();
  ASSERT_TRUE(store_.Save({"", "a"}, "\x01 no state", 0, 4'102'444'800'000).value());
  ExpectError(sessions.Step(In("a"), Scores()), Code::kDataLoss, "conversation_id", "DELETE");
  EXPECT_TRUE(sessions.End("", "a"));
  EXPECT_EQ(Turn(sessions, "a"), 1);
}

TEST_F(GuardSessionsTest, APreviewSaysWhatATurnWouldBeAndTakesNone) {
  GuardSessions sessions = Make();
  Turn(sessions, "a", 0.25);
  SessionTurn preview = In("a");
  preview.preview = true;
  const auto first = sessions.Step(preview, Scores(0.5));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->conversation_id, "a");
  EXPECT_EQ(first->turn.compat.metrics.turn, 2);
  EXPECT_EQ(first->turn.compat.metrics.v_model, 0.25);
  EXPECT_EQ(sessions.Step(preview, Scores(0.5))->turn.compat.metrics, first->turn.compat.metrics);
  EXPECT_EQ(sessions.Step(In("a"), Scores(0.5))->turn.compat.metrics, first->turn.compat.metrics);
  // It is held to the same order, and has no use for a key.
  preview.number = 2;
  ExpectError(sessions.Step(preview, Scores()), Code::kAborted, "turn", "expected turn 3");
  SessionTurn keyed = Keyed("k1");
  keyed.preview = true;
  ExpectError(sessions.Step(keyed, Scores()), Code::kInvalidArgument, "idempotency_key", "preview");
  // One that begins a conversation leaves none.
  SessionTurn fresh;
  fresh.preview = true;
  EXPECT_EQ(sessions.Step(fresh, Scores())->conversation_id, "");
  EXPECT_EQ(store_.stats().conversations, 1u);
}

TEST_F(GuardSessionsTest, TenThousandLiveConversationsTakeLessThanFiftyMegabytes) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it
  if (std::getenv("GARRISON_SANITIZED") != nullptr) GTEST_SKIP() << "a sanitizer has its own";
  MemoryConversations many(10'000, clock_);
  GuardSessions sessions = MakeOver(many);
  const std::size_t before = ResidentBytes();
  const std::string uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
  for (std::size_t turn = 0; turn < kRecentTurns; ++turn) {
    for (int i = 0; i < 10'000; ++i) {
      SessionTurn next = Keyed(uuid.substr(4) + fmt::format("{:04}", turn), "hi",
                               fmt::format("{:05}-{}", i, uuid));
      ASSERT_TRUE(sessions.Step(next, Scores()));
    }
  }
  EXPECT_EQ(many.stats().conversations, 10'000u);
  const std::size_t taken = ResidentBytes() - before;
  RecordProperty("bytes", std::to_string(taken));
  EXPECT_LT(taken, 50'000'000u);
}

}  // namespace
}  // namespace garrison
