// Conversations made up of risks, for the tests of the evaluation.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "guard/evaluation.h"
#include "guard/evaluation_input.h"
#include "guard/replay.h"

namespace garrison {

// A recorded run of a model, from its risks (model, user). `file` is the stem.
inline ScoredConversation RunOfRisks(const std::string& model, const std::string& file,
                                     const std::vector<std::pair<double, double>>& risks,
                                     const GuardSettings& settings = {}) {
  std::vector<RiskTurn> turns;
  for (const auto& [of_model, of_user] : risks) {
    turns.push_back({static_cast<int>(turns.size()) + 1, {of_model, of_user}});
  }
  return TakeRecorded({model, file, model + "/" + file + ".csv"}, std::string(64, 'a'),
                      {Replay(turns, settings).value()}, settings);
}

// Of one turn, with this final rho.
inline ScoredConversation RunOfRho(const std::string& model, const std::string& file, double rho) {
  return RunOfRisks(model, file, {{rho, 0.9}});  // rho = R_model / (0.9 + 0.1)
}

inline std::vector<std::pair<double, double>> Constant(std::size_t turns, double model,
                                                       double user) {
  return std::vector<std::pair<double, double>>(turns, {model, user});
}

}  // namespace garrison
