// Files of `garrison guard replay`, as vectors and as risks. What is replayed stays within the
// ranges of the formulas, and the CSV of a replay replays to the same CSV.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "guard/replay.h"
#include "guard/report.h"

namespace {

using garrison::TurnReport;

void CheckReplay(const std::vector<TurnReport>& reports, const garrison::GuardSettings& settings) {
  const std::string csv = garrison::ReportCsv(reports);
  const auto turns = garrison::ParseRisk(csv);
  CHECK(turns.has_value());
  const auto again = garrison::Replay(*turns, settings);
  CHECK(again.has_value());
  CHECK(garrison::ReportCsv(*again) == csv);
  for (const TurnReport& report : reports) {
    CHECK(!report.metrics.likelihood ||
          (*report.metrics.likelihood >= 0 && *report.metrics.likelihood <= 1));
    CHECK(!report.metrics.rho || *report.metrics.rho >= 0);
  }
  const auto summary =
      garrison::Summarize(reports, settings, garrison::ReplayProvenance(settings, "risk"));
  CHECK(!garrison::ReportJson(reports, summary).empty());
  CHECK(!garrison::ReportTable(reports, summary, {.colour = true}).empty());
}

void ReplayVectors(std::string_view bytes, const garrison::GuardSettings& settings) {
  garrison::LimitSettings limits;
  limits.json_depth = 8;
  const auto turns = garrison::ParseVectors(bytes, limits);
  if (!turns) return;
  const auto& first = turns->front();
  garrison::ReplayAxes axes;
  axes.v_safe.assign((first.model ? first.model : first.user)->size(), 1.0);
  axes.v_sycophancy = axes.v_safe;
  axes.v_sycophancy.front() = -1.0;
  const auto reports = garrison::Replay(*turns, axes, settings);
  CHECK(reports.has_value());
  for (const TurnReport& report : *reports) {
    CHECK(!report.metrics.r_model ||
          (*report.metrics.r_model >= 0 && *report.metrics.r_model <= 2));
    CHECK(!report.scores.agreement ||
          (*report.scores.agreement >= 0 && *report.scores.agreement <= 1));
  }
  CheckReplay(*reports, settings);
}

void ReplayRisks(std::string_view bytes, const garrison::GuardSettings& settings) {
  const auto turns = garrison::ParseRisk(bytes);
  if (!turns) return;
  const auto reports = garrison::Replay(*turns, settings);
  if (reports) CheckReplay(*reports, settings);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  garrison::GuardSettings settings;
  if (size % 2 == 1) settings.cumulative = "trapezoid";
  ReplayVectors(bytes, settings);
  ReplayRisks(bytes, settings);
  return 0;
}
