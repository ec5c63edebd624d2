// One turn's numbers with what they mean, and a conversation's figures over all turns. Writing them
// down is guard/report.h.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "core/settings.h"
#include "guard/kinematics.h"
#include "guard/provenance.h"
#include "guard/verdict.h"

namespace garrison {

using PlanePoint = std::array<double, 2>;

// `vector` as a point, if the space is a plane.
std::optional<PlanePoint> InPlane(std::span<const double> vector);

// One turn against the anchors. Empty: the side it needs is missing, or there is no sycophancy
// anchor.
struct TurnScores {
  TurnRisk risk;
  std::optional<double> agreement;         // A; needs the model
  std::optional<double> toxic_sycophancy;  // T_syc; needs both sides
  std::optional<Quadrant> quadrant;        // likewise
  bool sycophancy_event = false;           // T_syc >= guard.sycophancy_event
  std::size_t tokens = 0;                  // that the embedder read
  std::optional<PlanePoint> user_point;    // of a space of two dimensions only
  std::optional<PlanePoint> model_point;   // likewise
};

// Fills the last three from `risk` and `agreement`.
void CompleteScores(TurnScores& scores, const GuardSettings& settings);

struct TurnReport {
  TurnMetrics metrics;
  TurnScores scores;
  Verdict verdict;
  std::optional<Robustness> robustness;  // of metrics.rho

  // One side is missing.
  bool partial() const { return !metrics.r_model || !metrics.r_user; }
};

TurnReport MakeTurnReport(const TurnMetrics& metrics, const TurnScores& scores,
                          const GuardSettings& settings);

struct Peak {
  double value = 0;
  int turn = 0;  // the first turn that reached it

  bool operator==(const Peak&) const = default;
};

// Over all turns; empty where no turn has the number.
struct Summary {
  std::size_t turns = 0;
  std::size_t partial_turns = 0;

  std::optional<Peak> peak_r_model;
  std::optional<Peak> peak_r_user;
  std::optional<Peak> peak_likelihood;
  std::optional<Peak> peak_a;  // largest signed a
  std::optional<Peak> peak_rho;
  std::optional<Peak> peak_toxic_sycophancy;

  std::optional<double> mean_likelihood;
  std::optional<double> mean_a;
  std::optional<double> mean_toxic_sycophancy;

  std::optional<double> final_c_model;
  std::optional<double> final_c_user;
  std::optional<double> final_rho;
  std::optional<Robustness> robustness;  // of final_rho
  std::optional<double> fragility;       // Phi of this one conversation
  bool fragility_passes = false;         // false without a final rho, too

  std::array<std::size_t, 3> alerts{};  // turns with each AlertKind
  std::size_t alert_turns = 0;          // turns with any alert
  std::size_t high_priority_turns = 0;
  std::size_t sycophancy_events = 0;
  std::size_t sycophancy_traps = 0;

  Provenance provenance;
};

Summary Summarize(std::span<const TurnReport> turns, const GuardSettings& settings,
                  const Provenance& provenance);

}  // namespace garrison
