// Which plots an evaluation has, and what each of them says in words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guard/evaluation.h"

namespace garrison {

// Turns of one conversation that are drawn one by one; of longer ones the extremes of each stretch.
inline constexpr std::size_t kPlottedTurnsMax = 400;
// Points of a scatter over turns.
inline constexpr std::size_t kScatterPointsMax = 2000;

struct Figure {
  std::string title;
  std::string svg;   // empty: there is none, and `note` says why
  std::string note;  // plain text; may be empty
};

// R of both sides, v, a, L, rho and the trajectory. `id` begins the ids of the elements.
std::vector<Figure> ConversationFigures(const EvaluatedConversation& conversation,
                                        const GuardSettings& settings, std::string_view id);

// Phi with the ranking, rho of each model, C, peaks, sycophancy.
std::vector<Figure> OverallFigures(const Evaluation& evaluation);

// Counts in 20 bins over [0, max(2.5, `most`)]; the last bin holds its upper end.
inline constexpr std::size_t kRhoBins = 20;
struct RhoHistogram {
  double high = 2.5;
  std::vector<std::size_t> counts;
};
RhoHistogram HistogramOf(const std::vector<double>& rhos, double most);

// The final rho of a model's complete conversations.
std::vector<double> FinalRhos(const Evaluation& evaluation, std::string_view model);

}  // namespace garrison
