// The plots of one conversation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <span>

#include "guard/evaluation_plots.h"
#include "guard/svg_plot.h"

namespace garrison {
namespace {

using Shape = SvgPlot::Shape;
using Points = std::vector<PlotPoint>;

constexpr double kGap = std::numeric_limits<double>::quiet_NaN();

using Getter = std::function<std::optional<double>(const TurnReport&)>;

// The extremes of each stretch of a long series, in their order.
Points Thinned(Points points) {
  if (points.size() <= kPlottedTurnsMax) return points;
  const std::size_t stretch = (2 * points.size() + kPlottedTurnsMax - 1) / kPlottedTurnsMax;
  Points kept;
  for (std::size_t start = 0; start < points.size(); start += stretch) {
    std::size_t low = start;
    std::size_t high = start;
    for (std::size_t i = start; i < std::min(points.size(), start + stretch); ++i) {
      if (!std::isfinite(points[i].y)) continue;
      // A gap compares false with everything, so that the first number replaces it.
      if (!(points[i].y >= points[low].y)) low = i;
      if (!(points[i].y <= points[high].y)) high = i;
    }
    kept.push_back(points[std::min(low, high)]);
    if (low != high) kept.push_back(points[std::max(low, high)]);
  }
  return kept;
}

Points SeriesOf(std::span<const TurnReport> turns, std::string_view name, const Getter& getter) {
  Points points;
  for (const TurnReport& turn : turns) {
    const auto value = getter(turn);
    PlotPoint point{static_cast<double>(turn.metrics.turn), value.value_or(kGap)};
    if (value) point.label = fmt::format("turn {}: {} {:.4f}", turn.metrics.turn, name, *value);
    points.push_back(std::move(point));
  }
  return Thinned(std::move(points));
}

// Of x: all turns, with half a turn of room.
PlotRange TurnRange(std::span<const TurnReport> turns) {
  return {turns.front().metrics.turn - 0.5, turns.back().metrics.turn + 0.5};
}

void Include(PlotRange& range, const Points& points) {
  for (const PlotPoint& point : points) range.Include(point.y);
}

std::string PeakWords(std::string_view name, const std::optional<Peak>& peak) {
  if (!peak) return fmt::format("There is no {}.", name);
  return fmt::format("{} is highest on turn {}, at {:.4f}.", name, peak->turn, peak->value);
}

// Splits a series at a threshold: what lies above it is drawn in another colour.
void BarsByThreshold(SvgPlot& plot, const Points& points, double threshold) {
  Points calm;
  Points high;
  for (const PlotPoint& point : points) (point.y > threshold ? high : calm).push_back(point);
  plot.Bars(calm, 0.7, "model");
  plot.Bars(high, 0.7, "critical");
}

// What the panels of one conversation share.
struct Panels {
  const EvaluatedConversation& conversation;
  const GuardSettings& settings;
  std::string id;

  std::span<const TurnReport> turns() const { return conversation.run.turns; }
  PlotFrame Frame(const PlotRange& y) const {
    return {.x = TurnRange(turns()), .y = WithRoom(y), .whole_x = true};
  }
  PlotText Text(std::string_view part, std::string title, std::string description,
                std::string y_label) const {
    return {fmt::format("{}-{}", id, part), std::move(title), std::move(description), "turn",
            std::move(y_label)};
  }
};

Figure RiskPanel(const Panels& panels) {
  const Summary& s = panels.conversation.summary;
  const Points user =
      SeriesOf(panels.turns(), "R user", [](const TurnReport& t) { return t.metrics.r_user; });
  const Points model =
      SeriesOf(panels.turns(), "R model", [](const TurnReport& t) { return t.metrics.r_model; });
  PlotRange range{0, 1.1};
  Include(range, user);
  Include(range, model);
  const std::string title = "Risk severity R";
  SvgPlot plot(panels.Text("r", title,
                           PeakWords("R of the model", s.peak_r_model) + " " +
                               PeakWords("R of the user", s.peak_r_user),
                           "R"),
               panels.Frame(range));
  plot.HorizontalRule(1, "muted", "1.0");
  plot.Line(user, "user", true);
  plot.Line(model, "model");
  plot.Marks(user, Shape::kSquare, "user");
  plot.Marks(model, Shape::kCircle, "model");
  plot.Key(Shape::kSquare, "user", "user (dashed)");
  plot.Key(Shape::kCircle, "model", "model");
  return {title, plot.Finish(), ""};
}

Figure RatePanel(const Panels& panels) {
  const Points points =
      SeriesOf(panels.turns(), "v", [](const TurnReport& t) { return t.metrics.v_model; });
  PlotRange range{-0.1, 0.1};
  Include(range, points);
  const std::string title = "Risk rate v of the model";
  SvgPlot plot(
      panels.Text("v", title, "The change of R of the model from turn to turn, as bars.", "v"),
      panels.Frame(range));
  plot.Bars(points, 0.7, "model");
  plot.HorizontalRule(0, "muted", "");
  return {title, plot.Finish(), ""};
}

Figure ErosionPanel(const Panels& panels) {
  const double threshold = panels.settings.alert_erosion;
  const Points points =
      SeriesOf(panels.turns(), "a", [](const TurnReport& t) { return t.metrics.a_model; });
  PlotRange range{-1.2 * threshold, 1.2 * threshold};
  Include(range, points);
  const std::string title = "Guardrail erosion a of the model";
  SvgPlot plot(
      panels.Text(
          "a", title,
          PeakWords("a", panels.conversation.summary.peak_a) +
              fmt::format(
                  " {} turns are above the threshold {}; below -{} nothing alerts.",
                  panels.conversation.summary.alerts[static_cast<std::size_t>(AlertKind::kErosion)],
                  threshold, threshold),
          "a"),
      panels.Frame(range));
  BarsByThreshold(plot, points, threshold);
  plot.HorizontalRule(threshold, "alert", fmt::format("alert above {}", threshold));
  plot.HorizontalRule(-threshold, "muted", fmt::format("-{}", threshold));
  return {title, plot.Finish(), ""};
}

Figure LikelihoodPanel(const Panels& panels) {
  const double threshold = panels.settings.alert_likelihood;
  const Points points =
      SeriesOf(panels.turns(), "L", [](const TurnReport& t) { return t.metrics.likelihood; });
  const std::string title = "Likelihood of breach L";
  SvgPlot plot(panels.Text("l", title,
                           PeakWords("L", panels.conversation.summary.peak_likelihood) +
                               fmt::format(" The critical zone begins at {}.", threshold),
                           "L"),
               panels.Frame({0, 1}));
  plot.Band(threshold, 2, "critical");
  plot.HorizontalRule(threshold, "critical", fmt::format("critical above {}", threshold));
  plot.Line(points, "model");
  plot.Marks(points, Shape::kCircle, "model");
  return {title, plot.Finish(), ""};
}

Figure RhoPanel(const Panels& panels) {
  const Points points =
      SeriesOf(panels.turns(), "rho", [](const TurnReport& t) { return t.metrics.rho; });
  const std::string title = "Robustness index rho";
  const auto final_rho = panels.conversation.summary.final_rho;
  if (!final_rho) return {title, "", "No turn has both sides seen, so that there is no rho."};
  PlotRange range{0, 1.2};
  Include(range, points);
  SvgPlot plot(
      panels.Text("rho", title,
                  fmt::format("rho ends at {:.4f}: {}. Above 1 the model's risk adds up "
                              "to more than the user's.",
                              *final_rho, RobustnessName(*panels.conversation.summary.robustness)),
                  "rho"),
      panels.Frame(range));
  plot.Band(1, range.high * 2, "alert");
  plot.HorizontalRule(1, "alert", "fragile above 1");
  plot.Line(points, "model");
  plot.Marks(points, Shape::kDiamond, "model");
  return {title, plot.Finish(), ""};
}

Points TrackOf(std::span<const TurnReport> turns, std::optional<PlanePoint> TurnScores::* point,
               std::string_view name) {
  Points track;
  for (const TurnReport& turn : turns) {
    const auto& place = turn.scores.*point;
    if (!place) continue;
    track.push_back(
        {(*place)[0], (*place)[1], fmt::format("turn {}: {}", turn.metrics.turn, name)});
    if (track.size() == kPlottedTurnsMax) break;
  }
  return track;
}

Figure TrajectoryPanel(const Panels& panels) {
  const std::string title = "Trajectory in the plane";
  const ScoredConversation& run = panels.conversation.run;
  const Points user = TrackOf(panels.turns(), &TurnScores::user_point, "user");
  const Points model = TrackOf(panels.turns(), &TurnScores::model_point, "model");
  if (user.empty() && model.empty()) {
    return {title, "",
            run.recorded
                ? "No trajectory: the recorded run has no vectors of two dimensions (a column "
                  "Vector, Vector_Model or Vector_User)."
                : fmt::format("No trajectory: the vectors were compared in the space {}, which is "
                              "no plane. Give a projection with two components (--projection).",
                              run.provenance.space)};
  }
  // One scale for both axes, and the origin in view: R is an angle at the origin.
  double reach = 0;
  for (const Points* track : {&user, &model}) {
    for (const PlotPoint& p : *track) reach = std::max({reach, std::abs(p.x), std::abs(p.y)});
  }
  if (!(reach > 0)) reach = 1;
  const PlotRange range = WithRoom({-reach, reach});
  PlotText text =
      panels.Text("xy", title,
                  fmt::format("{} points of the user and {} of the model, joined in the "
                              "order of the turns. R is the angle at the origin "
                              "between a point and the safe direction.",
                              user.size(), model.size()),
                  "second component");
  text.x_label = "first component";
  SvgPlot plot(std::move(text), {.width = 460, .height = 458, .x = range, .y = range});
  if (run.v_safe) {
    const double length = std::hypot((*run.v_safe)[0], (*run.v_safe)[1]);
    plot.Segment({0, 0}, {(*run.v_safe)[0] / length * reach, (*run.v_safe)[1] / length * reach},
                 "safe");
    plot.Key(Shape::kDiamond, "safe", "safe direction");
  }
  plot.Line(user, "user", true);
  plot.Line(model, "model");
  plot.Marks(user, Shape::kSquare, "user");
  plot.Marks(model, Shape::kCircle, "model");
  plot.Marks(Points{{0, 0, "origin"}}, Shape::kDiamond, "muted");
  plot.Key(Shape::kSquare, "user", "user (dashed)");
  plot.Key(Shape::kCircle, "model", "model");
  return {title, plot.Finish(), run.v_safe ? "" : "The file does not say where v_safe lies."};
}

}  // namespace

std::vector<Figure> ConversationFigures(const EvaluatedConversation& conversation,
                                        const GuardSettings& settings, std::string_view id) {
  if (conversation.run.turns.empty()) return {};
  const Panels panels{conversation, settings, std::string(id)};
  std::vector<Figure> figures = {RiskPanel(panels),    RatePanel(panels),
                                 ErosionPanel(panels), LikelihoodPanel(panels),
                                 RhoPanel(panels),     TrajectoryPanel(panels)};
  if (conversation.run.turns.size() > kPlottedTurnsMax) {
    for (Figure& figure : figures) {
      if (!figure.svg.empty()) figure.note += "Of each stretch of turns the extremes are drawn.";
    }
  }
  return figures;
}

}  // namespace garrison
