#include "guard/session_state.h"

#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "guard/test_support.h"

namespace garrison {
namespace {

using nlohmann::json;

constexpr ConversationKey kKey{"alice", "c1"};

// What `risks` lead to; in measured mode their evidence is made up from them, and every fifth turn
// is not calibrated.
SessionState After(const std::vector<TurnRisk>& risks, bool measured = false) {
  Kinematics kinematics{GuardSettings{}};
  MeasuredState sums;
  MeasuredModel model;
  model.alarm = {.drift = 0.5, .threshold = 3, .release = 1.5};
  model.baseline = 0.3;
  SessionState state;
  state.provenance = Sha256().Finish();
  state.tenant = kKey.tenant;
  state.id = kKey.id;
  state.created_ms = 1'767'225'600'000;
  for (const TurnRisk& risk : risks) {
    RecordedTurn turn;
    turn.metrics = kinematics.Step(risk).value();
    if (risk.model) turn.agreement = *risk.model / 2;
    turn.tokens = 7;
    turn.at_ms = state.created_ms + turn.metrics.turn;
    if (turn.metrics.turn % 2 == 0) {
      turn.idempotency_key = fmt::format("key {}", turn.metrics.turn);
      turn.content = Sha256().Finish();
    }
    if (measured) {
      MeasuredScores scores;
      const auto side = [](double evidence) {
        SideScore score;
        score.evidence = evidence;
        return score;
      };
      if (risk.user) scores.user = side(3 * *risk.user - 1);
      if (risk.model) scores.reply = side(4 * *risk.model - 2);
      if (risk.user && risk.model) scores.compliance = *risk.model / 3;
      scores.evidence = std::max(risk.user.value_or(0), risk.model.value_or(0)) * 3 - 1;
      scores.calibrated = turn.metrics.turn % 5 != 0;
      turn.measured = RecordOf(sums.Take(scores, model).value());
    }
    state.last_use_ms = turn.at_ms;
    if (measured) state.measured = sums.data();
    state.kinematics = kinematics.state();
    state.recent.push_back(std::move(turn));
    if (state.recent.size() > kRecentTurns) state.recent.erase(state.recent.begin());
  }
  return state;
}

rc::Gen<std::vector<TurnRisk>> Risks() {
  const auto risk = rc::gen::map(rc::gen::arbitrary<std::uint32_t>(),
                                 [](std::uint32_t bits) { return 2.0 * bits / 0x1p32; });
  return rc::gen::mapcat(rc::gen::inRange<std::size_t>(1, 40), [risk](std::size_t turns) {
    return rc::gen::container<std::vector<TurnRisk>>(turns,
                                                     rc::gen::apply(
                                                         [](double model, double user, int sides) {
                                                           TurnRisk out;
                                                           if (sides != 1) out.model = model;
                                                           if (sides != 2) out.user = user;
                                                           return out;
                                                         },
                                                         risk, risk, rc::gen::inRange(0, 4)));
  });
}

TEST(SessionState, EveryBitSurvivesBothForms) {
  EXPECT_TRUE(rc::check([] {
    const SessionState state = After(*Risks(), *rc::gen::arbitrary<bool>());
    RC_ASSERT(DecodeState(EncodeState(state), kKey).value() == state);
    const json exported = json::parse(StateJson(state).dump());
    RC_ASSERT(StateFromJson(exported, kKey).value() == state);
    // And so the next turn has the same bits.
    const auto step = [](const KinematicsState& from) {
      return Kinematics::FromState(GuardSettings{}, from).value().Step({0.3, 0.7}).value();
    };
    RC_ASSERT(step(StateFromJson(exported, kKey)->kinematics) == step(state.kinematics));
  }));
}

TEST(SessionState, BytesThatAreCutOrOfAnotherConversationAreNoState) {
  std::string bytes;
  for (const bool measured : {true, false}) {
    bytes = EncodeState(After({{0.5, 0.25}, {0.1, std::nullopt}}, measured));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ExpectError(DecodeState(bytes.substr(0, size), kKey), Code::kDataLoss, "", "expected");
    }
  }
  ExpectError(DecodeState(bytes + '\0', kKey), Code::kDataLoss, "", "other bytes");
  ExpectError(DecodeState(bytes, {"bob", "c1"}), Code::kDataLoss, "", "other bytes");
  ExpectError(DecodeState(bytes, {"alice", "c2"}), Code::kDataLoss, "", "other bytes");
}

TEST(SessionState, NoByteMakesItCrash) {
  EXPECT_TRUE(rc::check([] {
    std::string bytes = EncodeState(After(*Risks(), *rc::gen::arbitrary<bool>()));
    const auto place = *rc::gen::inRange<std::size_t>(0, bytes.size());
    bytes[place] = *rc::gen::arbitrary<char>();
    // A number may have become another one, but nothing that turns could not lead to.
    const auto state = DecodeState(bytes, kKey);
    if (state) RC_ASSERT(CheckState(*state).has_value());
  }));
}

class HostileImport : public testing::Test {
 protected:
  HostileImport()
      : good_(json::parse(StateJson(After({{0.5, 0.25}, {0.75, 0.5}, {1.5, 1.75}}, true)).dump())),
        json_(good_) {}
  void Refused(const std::string& where, const std::string& message) {
    ExpectError(StateFromJson(json_, kKey), Code::kInvalidArgument, where, message);
    json_ = good_;
  }

  const json good_;
  json json_;
};

TEST_F(HostileImport, TheGoodOneIsTaken) { EXPECT_TRUE(StateFromJson(json_, kKey)); }

TEST_F(HostileImport, IsRefusedByTheFieldAtFault) {
  for (const json& wrong : {json(), json(3), json("x"), json::array()}) {
    json_ = wrong;
    Refused("", "expected an object");
  }
  for (const auto& [name, value] : good_.items()) {
    if (name == "measured") continue;
    json_.erase(name);
    Refused(name, "missing");
  }
  for (const auto& [name, value] : good_["recent"][0].items()) {
    if (name == "measured") continue;
    json_["recent"][0].erase(name);
    Refused("recent[0]." + name, "missing");
  }
  for (const auto& [name, value] : good_["state"].items()) {
    json_["state"].erase(name);
    Refused("state." + name, "missing");
    json_["state"][name] = "1";
    Refused("state." + name, "got a string");
  }
  json_["version"] = 2;
  Refused("format", "of version 1");
  json_["conversation_id"] = "c2";
  Refused("conversation_id", "another");
  json_["provenance_sha256"] = std::string(63, '0');
  Refused("provenance_sha256", "64 hexadecimal digits");
  json_["provenance_sha256"] = std::string(64, 'G');
  Refused("provenance_sha256", "64 hexadecimal digits");
  json_["created_ms"] = -1;
  Refused("created_ms", "whole number");
  json_["last_use_ms"] = 1e300;
  Refused("last_use_ms", "whole number");
  json_["last_use_ms"] = std::numeric_limits<std::int64_t>::max();
  Refused("last_use_ms", "milliseconds since 1970");
}

TEST_F(HostileImport, CannotCountTurnsThatWereNotTaken) {
  json_["turns"] = 4;
  Refused("recent", "got 3 of 4");
  json_["turns"] = 1'000'001;
  Refused("turns", "1000000");
  json_["turns"] = std::uint64_t{1} << 40;
  Refused("turns", "whole number");
  json_["recent"][1]["turn"] = 1;
  Refused("recent[1].turn", "expected 2, got 1");
  json_["recent"] = json::array();
  Refused("recent", "got 0 of 3");
  json_["recent"] = json(std::vector<json>(17, good_["recent"][0]));
  Refused("recent", "at most 16");
  json_["recent"][0] = 5;
  Refused("recent[0]", "expected an object");
}

TEST_F(HostileImport, CannotHoldNumbersThatNoTurnGives) {
  json_["state"]["r_model"] = -0.5;
  Refused("r_model", "from 0");
  json_["state"]["c_user"] = 1e300;
  Refused("c_user", "from 0");
  json_["state"]["c_model"] = nullptr;
  Refused("c_model", "beside r_model");
  // Less risk than the turns had.
  json_["state"]["c_model"] = 0.0;
  Refused("recent", "those of the state");
  json_["recent"][2]["C_user"] = 0.0;
  Refused("recent", "those of the state");
  json_["recent"][0]["likelihood"] = 1.5;
  Refused("recent[0].likelihood", "from 0 to 1");
  json_["recent"][0]["z"] = 1e10;
  Refused("recent[0].z", "expected a number");
  json_["recent"][0]["z"] = nullptr;
  Refused("recent[0]", "together");
  json_["recent"][0]["C_user"] = nullptr;
  Refused("recent[0]", "together");
  json_["recent"][0]["agreement"] = true;
  Refused("recent[0].agreement", "expected a number or null");
  json_["recent"][0]["at_ms"] = std::uint64_t{1} << 60;
  Refused("recent[0].at_ms", "milliseconds");
  json_["recent"][0]["tokens"] = std::uint64_t{1} << 32;
  Refused("recent[0].tokens", "whole number");
}

TEST_F(HostileImport, CannotHoldAnAlarmThatNoTurnRaised) {
  json_.erase("measured");
  Refused("measured", "or of none");
  json_["recent"][1].erase("measured");
  Refused("measured", "or of none");
  for (const auto* const part : {"alarm", "robustness"}) {
    for (const auto& [name, value] : good_["measured"][part].items()) {
      json_["measured"][part].erase(name);
      Refused(fmt::format("measured.{}.{}", part, name), "missing");
    }
    json_["measured"].erase(part);
    Refused(fmt::format("measured.{}", part), "missing");
    json_["recent"][0]["measured"].erase(part);
    Refused(fmt::format("recent[0].measured.{}", part), "missing");
    json_["recent"][0]["measured"][part] = 3;
    Refused(fmt::format("recent[0].measured.{}", part), "expected an object");
  }
  json_["measured"]["alarm"]["sum"] = -1;
  Refused("measured", "expected a sum from 0");
  json_["measured"]["alarm"]["last"][0] = 1e7;
  Refused("measured", "evidence from");
  json_["measured"]["robustness"]["user"] = 3.5;
  Refused("measured", "the 3 turns");
  json_["measured"]["robustness"]["turns"] = 2.5;
  Refused("measured", "number of turns");
  json_["measured"]["alarm"]["turns"] = 4;
  Refused("measured", "at most 3 turns");
  json_["measured"]["alarm"]["last"] = {1, 2, 3};
  Refused("measured.alarm.last", "4 numbers");
  // A clean sheet after what was said.
  json_["measured"]["alarm"]["sum"] = 0;
  Refused("recent", "the alarm of the last turn");
  json_["measured"]["alarm"]["on"] = false;
  Refused("recent", "the alarm of the last turn");
  json_["recent"][0]["measured"]["user"] = nullptr;
  Refused("recent[0].measured", "of the sides");
  json_["recent"][0]["measured"]["p_complies"] = 1.5;
  Refused("recent[0].measured.p_complies", "from 0 to 1");
  json_["recent"][2]["measured"]["alarm"]["z"] = nullptr;
  Refused("recent[2].measured.alarm.slope", "or neither");
  json_["recent"][2]["measured"]["robustness"]["interval"] = {1, "2"};
  Refused("recent[2].measured.robustness.interval", "two numbers");
}

TEST_F(HostileImport, CannotHoldKeysThatNobodySends) {
  json_["recent"][1]["idempotency_key"] = std::string(129, 'k');
  Refused("recent[1].idempotency_key", "printable ASCII");
  json_["recent"][1]["idempotency_key"] = "";
  Refused("recent[1].idempotency_key", "empty text");
  json_["recent"][1]["idempotency_key"] = 5;
  Refused("recent[1].idempotency_key", "expected a string");
  json_["recent"][1].erase("content_sha256");
  Refused("recent[1].content_sha256", "missing");
}

TEST_F(HostileImport, AnyChangeOfAnyValueIsRefusedOrMakesAGoodState) {
  const json places = good_.flatten();
  const std::vector<json> values = {nullptr,       true,          -1, 0,   1,
                                    1e308,         -1e308,        "", "x", 18446744073709551615U,
                                    json::array(), json::object()};
  for (const auto& [place, value] : places.items()) {
    for (const json& wrong : values) {
      json changed = good_;
      changed[json::json_pointer(place)] = wrong;
      const auto state = StateFromJson(changed, kKey);
      EXPECT_TRUE(state ? CheckState(*state).has_value()
                        : state.error().code == Code::kInvalidArgument)
          << place << " " << wrong;
    }
  }
}

}  // namespace
}  // namespace garrison
