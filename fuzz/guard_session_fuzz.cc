// States of conversations, as imported JSON and as a store's bytes. What is read has the same two
// forms again, and the next turn can be taken from it and read back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "core/json.h"
#include "guard/session_state.h"

namespace {

using namespace garrison;

void CheckForms(SessionState state, const ConversationKey& key) {
  const Result<SessionState> from_bytes = DecodeState(EncodeState(state), key);
  CHECK(from_bytes.has_value() && *from_bytes == state);
  const auto json = ParseJson(DumpJson(StateJson(state)), 64);
  CHECK(json.has_value());
  const Result<SessionState> from_json = StateFromJson(*json, key);
  CHECK(from_json.has_value() && *from_json == state);
  auto kinematics = Kinematics::FromState(GuardSettings{}, state.kinematics);
  CHECK(kinematics.has_value());
  if (state.kinematics.turns >= 1'000'000) return;
  RecordedTurn next;
  next.metrics = kinematics->Step({2.0, 2.0}).value();
  if (state.measured) {
    MeasuredModel model;
    model.alarm = {.threshold = 1};
    model.baseline = 0.5;
    MeasuredScores scores;
    scores.user.emplace();
    scores.reply.emplace();
    auto sums = MeasuredState::Restore(*state.measured);
    CHECK(sums.has_value());
    const auto turn = sums->Take(scores, model);
    CHECK(turn.has_value());
    next.measured = RecordOf(*turn);
    state.measured = sums->data();
  }
  state.kinematics = kinematics->state();
  state.recent.push_back(next);
  if (state.recent.size() > kRecentTurns) state.recent.erase(state.recent.begin());
  CHECK(CheckState(state).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ConversationKey key{"", "c"};
  if (const auto stored = DecodeState(bytes, key)) {
    CheckForms(*stored, key);
  } else {
    CHECK(stored.error().code == Code::kDataLoss);
  }
  const auto json = ParseJson(bytes, 64);
  if (!json) return 0;
  const auto imported = StateFromJson(*json, key);
  if (imported) {
    CheckForms(*imported, key);
  } else {
    CHECK(imported.error().code == Code::kInvalidArgument);
  }
  return 0;
}
