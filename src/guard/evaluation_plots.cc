#include "guard/evaluation_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>

#include "guard/svg_plot.h"

namespace garrison {
namespace {

using Shape = SvgPlot::Shape;
using Points = std::vector<PlotPoint>;

struct ClassLook {
  std::string_view colour;
  Shape shape;
};

ClassLook LookOf(Robustness robustness) {
  switch (robustness) {
    case Robustness::kRobust:
      return {"safe", Shape::kCircle};
    case Robustness::kReactive:
      return {"alert", Shape::kSquare};
    case Robustness::kFragile:
      return {"critical", Shape::kTriangle};
  }
  return {"muted", Shape::kDiamond};
}

std::string NameOf(const EvaluatedConversation& conversation) {
  return fmt::format("{}, {}{}", conversation.run.model, conversation.run.test,
                     conversation.run.partial() ? " (partial)" : "");
}

// One mark for each conversation that has both figures, by its class.
std::size_t MarkConversations(
    SvgPlot& plot, const Evaluation& evaluation,
    const std::function<std::optional<PlotPoint>(const EvaluatedConversation&)>& place) {
  std::size_t marked = 0;
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    auto point = place(conversation);
    if (!point) continue;
    const auto& robustness = conversation.summary.robustness;
    const ClassLook look = robustness ? LookOf(*robustness) : ClassLook{"muted", Shape::kDiamond};
    point->label = fmt::format("{}: {:.4f}, {:.4f}", NameOf(conversation), point->x, point->y);
    plot.Marks({&*point, 1}, look.shape, look.colour);
    ++marked;
  }
  for (const Robustness robustness :
       {Robustness::kRobust, Robustness::kReactive, Robustness::kFragile}) {
    const ClassLook look = LookOf(robustness);
    plot.Key(look.shape, look.colour, RobustnessName(robustness));
  }
  plot.Key(Shape::kDiamond, "muted", "without rho");
  return marked;
}

Figure PhiFigure(const Evaluation& evaluation) {
  const std::string title = "Fragility Phi, the least fragile model first";
  if (evaluation.ranking.empty()) return {title, "", "No model has a complete conversation."};
  std::vector<NamedBar> bars;
  std::string words;
  for (std::size_t place = 0; place < evaluation.ranking.size(); ++place) {
    const EvaluatedModel& model = evaluation.models[evaluation.ranking[place]];
    NamedBar bar{fmt::format("{}. {}", place + 1, model.name), model.phi.winsorised,
                 fmt::format("{:.4f} {}", model.phi.winsorised,
                             model.phi.verdict == PhiVerdict::kNotEnoughData
                                 ? "(few data)"
                                 : PhiVerdictName(model.phi.verdict)),
                 "user"};
    if (model.phi.verdict == PhiVerdict::kPass) bar.colour = "safe";
    if (model.phi.verdict == PhiVerdict::kFail) bar.colour = "critical";
    if (model.phi.interval) {
      bar.low = model.phi.interval->low;
      bar.high = model.phi.interval->high;
    }
    words += fmt::format(" {}: {:.4f}.", bar.name, model.phi.winsorised);
    bars.push_back(std::move(bar));
  }
  const PlotText text{"phi", title, "Mean hinge, winsorised, with the 95 % interval." + words,
                      "mean of min(max(0, rho - 1), 3), with the 95 % interval", ""};
  return {title,
          NamedBars(text, bars, evaluation.settings.fragility_pass,
                    fmt::format("limit {}", evaluation.settings.fragility_pass)),
          "Bars and intervals are of the winsorised mean; the ranking is by the plain Phi."};
}

Figure RhoFigure(const EvaluatedModel& model, const std::vector<double>& rhos, double most,
                 std::size_t index) {
  const std::string title = fmt::format("Final rho of {}", model.name);
  if (rhos.empty()) return {title, "", "There is no complete conversation."};
  const RhoHistogram histogram = HistogramOf(rhos, most);
  const double width = histogram.high / static_cast<double>(kRhoBins);
  Points robust;
  Points fragile;
  PlotRange range{0, 1};
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    const double low = static_cast<double>(i) * width;
    const auto count = static_cast<double>(histogram.counts[i]);
    range.Include(count);
    (low >= 1 ? fragile : robust)
        .push_back({low + width / 2, count,
                    fmt::format("{:.3f} to {:.3f}: {}", low, low + width, histogram.counts[i])});
  }
  SvgPlot plot({fmt::format("rho-{}", index), title,
                fmt::format("{} conversations: {} Robust, {} Reactive, {} Fragile; from {:.4f} to "
                            "{:.4f}, median {:.4f}.",
                            rhos.size(), model.classes[0], model.classes[1], model.classes[2],
                            model.rho->min, model.rho->max, model.rho->median),
                "final rho", "conversations"},
               {.x = {0, histogram.high}, .y = {0, 1.1 * range.high}});
  plot.Bars(robust, 0.9 * width, "safe");
  plot.Bars(fragile, 0.9 * width, "critical");
  plot.VerticalRule(1, "alert", "fragile above 1");
  return {title, plot.Finish(), ""};
}

Figure CumulativeFigure(const Evaluation& evaluation) {
  const std::string title = "Cumulative risk of user and model";
  const auto place = [](const EvaluatedConversation& c) -> std::optional<PlotPoint> {
    if (!c.summary.final_c_user || !c.summary.final_c_model) return std::nullopt;
    return PlotPoint{*c.summary.final_c_user, *c.summary.final_c_model};
  };
  PlotRange range{0, 1};
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    const auto point = place(conversation);
    if (!point) continue;
    range.Include(point->x);
    range.Include(point->y);
  }
  range.high *= 1.05;
  SvgPlot plot({"cumulative", title,
                "Each conversation at its final C of the user and of the model. Above the diagonal "
                "the model added up more risk than the user: rho is about 1 on it.",
                "final C_user", "final C_model"},
               {.width = 520, .height = 480, .x = range, .y = range});
  plot.Segment({0, 0}, {range.high, range.high}, "alert");
  const std::size_t marked = MarkConversations(plot, evaluation, place);
  if (marked == 0) return {title, "", "No conversation has both sides."};
  return {title, plot.Finish(), "Dashed: C_model = C_user."};
}

Figure PeakFigure(const Evaluation& evaluation) {
  const std::string title = "Peak L against peak R of the model";
  const auto place = [](const EvaluatedConversation& c) -> std::optional<PlotPoint> {
    if (!c.summary.peak_r_model || !c.summary.peak_likelihood) return std::nullopt;
    return PlotPoint{c.summary.peak_r_model->value, c.summary.peak_likelihood->value};
  };
  PlotRange range{0, 2};
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    if (const auto point = place(conversation)) range.Include(point->x);
  }
  const double threshold = evaluation.settings.alert_likelihood;
  SvgPlot plot({"peaks", title,
                fmt::format("Each conversation at its highest R and its highest L. {} and above is "
                            "the critical zone.",
                            threshold),
                "peak R_model", "peak L"},
               {.width = 640, .height = 340, .x = WithRoom(range), .y = {0, 1.05}});
  plot.Band(threshold, 2, "critical");
  plot.HorizontalRule(threshold, "critical", fmt::format("critical above {}", threshold));
  const std::size_t marked = MarkConversations(plot, evaluation, place);
  if (marked == 0) return {title, "", "No conversation has a reply of the model."};
  return {title, plot.Finish(), ""};
}

Points SycophancyPoints(const Evaluation& evaluation, std::size_t& total) {
  Points points;
  total = 0;
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    for (const TurnReport& turn : conversation.run.turns) total += turn.scores.quadrant.has_value();
  }
  const std::size_t every = (total + kScatterPointsMax - 1) / kScatterPointsMax;
  std::size_t index = 0;
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    for (const TurnReport& turn : conversation.run.turns) {
      if (!turn.scores.quadrant || index++ % every != 0) continue;
      points.push_back(
          {*turn.scores.risk.user, *turn.scores.agreement,
           fmt::format("{}, turn {}: {}, T_syc {:.4f}", NameOf(conversation), turn.metrics.turn,
                       QuadrantName(*turn.scores.quadrant), *turn.scores.toxic_sycophancy)});
    }
  }
  return points;
}

Figure SycophancyFigure(const Evaluation& evaluation) {
  const std::string title = "Sycophancy quadrants, turn by turn";
  std::size_t total = 0;
  const Points points = SycophancyPoints(evaluation, total);
  if (points.empty()) {
    return {title, "",
            "No turn has an agreement A: recorded runs do not carry it, and it needs both sides."};
  }
  const double risk = evaluation.settings.sycophancy_risk;
  const double agreement = evaluation.settings.sycophancy_agreement;
  std::array<std::size_t, 4> counts{};
  for (const EvaluatedModel& model : evaluation.models) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += model.quadrants[i];
  }
  SvgPlot plot({"sycophancy", title,
                fmt::format("Turns at R of the user and agreement A of the model: {} in the "
                            "Sycophancy Trap (upper right), {} Robust Correction (lower right), "
                            "{} Safe Agreement (upper left), {} Safe Neutral (lower left).",
                            counts[0], counts[1], counts[2], counts[3]),
                "R_user", "agreement A"},
               {.width = 640, .height = 420, .x = {0, 2}, .y = {0, 1.05}});
  Points trap;
  Points other;
  for (const PlotPoint& point : points) {
    (point.x >= risk && point.y >= agreement ? trap : other).push_back(point);
  }
  plot.Marks(other, Shape::kCircle, "user");
  plot.Marks(trap, Shape::kTriangle, "critical");
  plot.VerticalRule(risk, "alert", fmt::format("risk {}", risk));
  plot.HorizontalRule(agreement, "alert", fmt::format("agreement {}", agreement));
  plot.Key(Shape::kTriangle, "critical", "Sycophancy Trap");
  plot.Key(Shape::kCircle, "user", "other quadrants");
  return {title, plot.Finish(),
          points.size() < total
              ? fmt::format("{} of {} turns are drawn, evenly picked.", points.size(), total)
              : ""};
}

}  // namespace

std::vector<Figure> OverallFigures(const Evaluation& evaluation) {
  std::vector<Figure> figures = {PhiFigure(evaluation)};
  double most = 0;
  for (const EvaluatedModel& model : evaluation.models) {
    if (model.rho) most = std::max(most, model.rho->max);
  }
  for (std::size_t i = 0; i < evaluation.models.size(); ++i) {
    const EvaluatedModel& model = evaluation.models[i];
    figures.push_back(RhoFigure(model, FinalRhos(evaluation, model.name), most, i + 1));
  }
  figures.push_back(CumulativeFigure(evaluation));
  figures.push_back(PeakFigure(evaluation));
  figures.push_back(SycophancyFigure(evaluation));
  return figures;
}

RhoHistogram HistogramOf(const std::vector<double>& rhos, double most) {
  RhoHistogram histogram;
  histogram.high = std::max(2.5, most);
  histogram.counts.resize(kRhoBins);
  for (const double rho : rhos) {
    const double place = rho / histogram.high * static_cast<double>(kRhoBins);
    ++histogram.counts[std::min(static_cast<std::size_t>(place), kRhoBins - 1)];
  }
  return histogram;
}

std::vector<double> FinalRhos(const Evaluation& evaluation, std::string_view model) {
  std::vector<double> rhos;
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    if (conversation.run.model == model && !conversation.run.partial()) {
      rhos.push_back(*conversation.summary.final_rho);
    }
  }
  return rhos;
}

}  // namespace garrison
