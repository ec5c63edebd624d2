#include "guard/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "guard/markup.h"

namespace garrison {
namespace {

constexpr double kLeft = 56;
constexpr double kRight = 12;
constexpr double kTop = 26;
constexpr double kBottom = 40;
constexpr double kTextWidth = 6.3;  // of one character at the size that labels have, roughly

std::string Head(const PlotText& text, double width, double height) {
  return fmt::format(
      "<svg id=\"{0}\" class=\"plot\" role=\"img\" aria-labelledby=\"{0}-t {0}-d\" "
      "xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {1:g} {2:g}\" width=\"{1:g}\" "
      "height=\"{2:g}\"><title id=\"{0}-t\">{3}</title><desc id=\"{0}-d\">{4}</desc>",
      text.id, width, height, EscapeMarkup(text.title), EscapeMarkup(text.description));
}

std::string Text(double x, double y, std::string_view anchor, std::string_view text,
                 std::string_view colour = "muted") {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"ink-{}\">{}</text>", x, y, anchor,
      colour, EscapeMarkup(text, 200));
}

std::string Stroke(double x1, double y1, double x2, double y2, std::string_view classes) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>",
                     x1, y1, x2, y2, classes);
}

// A shape around a place, with what is shown when one points at it.
std::string Mark(SvgPlot::Shape shape, double x, double y, std::string_view colour,
                 const std::string& label) {
  const std::string title =
      label.empty() ? "/>" : fmt::format("><title>{}</title>", EscapeMarkup(label));
  const auto closed = [&](std::string_view element) {
    return label.empty() ? title : title + fmt::format("</{}>", element);
  };
  switch (shape) {
    case SvgPlot::Shape::kCircle:
      return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" class=\"fill-{}\"{}", x, y,
                         colour, closed("circle"));
    case SvgPlot::Shape::kSquare:
      return fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"6\" height=\"6\" class=\"fill-{}\"{}", x - 3,
          y - 3, colour, closed("rect"));
    case SvgPlot::Shape::kTriangle:
      return fmt::format("<path d=\"M{:.1f} {:.1f}l4 7h-8z\" class=\"fill-{}\"{}", x, y - 4, colour,
                         closed("path"));
    case SvgPlot::Shape::kDiamond:
      return fmt::format("<path d=\"M{:.1f} {:.1f}l4 4l-4 4l-4 -4z\" class=\"fill-{}\"{}", x, y - 4,
                         colour, closed("path"));
  }
  return "";
}

}  // namespace

void PlotRange::Include(double value) {
  if (!std::isfinite(value)) return;
  low = std::min(low, value);
  high = std::max(high, value);
}

PlotRange WithRoom(PlotRange range) {
  if (!(range.size() > 0)) return {range.low - 0.5, range.low + 0.5};
  const double room = 0.04 * range.size();
  return {range.low - room, range.high + room};
}

std::vector<double> TicksOf(const PlotRange& range, int count_max) {
  std::vector<double> ticks;
  if (!(range.size() > 0) || !std::isfinite(range.size())) return ticks;
  double step = std::pow(10, std::floor(std::log10(range.size() / count_max)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (range.size() / (factor * step) > count_max) continue;
    step *= factor;
    break;
  }
  const double first = std::ceil(range.low / step - 1e-9);
  for (int i = 0; i <= count_max + 1; ++i) {
    const double tick = (first + i) * step;
    if (tick > range.high + 1e-9 * step) break;
    ticks.push_back(tick == 0 ? 0 : tick);  // no -0
  }
  return ticks;
}

std::string TickText(double value) { return fmt::format("{:.6g}", value); }

SvgPlot::SvgPlot(PlotText text, const PlotFrame& frame)
    : text_(std::move(text)), frame_(frame), key_x_(kLeft) {}

double SvgPlot::X(double value) const {
  return kLeft + (value - frame_.x.low) / frame_.x.size() * (frame_.width - kLeft - kRight);
}

double SvgPlot::Y(double value) const {
  return frame_.height - kBottom -
         (value - frame_.y.low) / frame_.y.size() * (frame_.height - kTop - kBottom);
}

void SvgPlot::Band(double low, double high, std::string_view colour) {
  low = std::max(low, frame_.y.low);
  high = std::min(high, frame_.y.high);
  if (!(high > low)) return;
  fmt::format_to(std::back_inserter(under_),
                 "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                 "class=\"zone-{}\"/>",
                 kLeft, Y(high), frame_.width - kLeft - kRight, Y(low) - Y(high), colour);
}

void SvgPlot::HorizontalRule(double y, std::string_view colour, std::string_view name) {
  if (y < frame_.y.low || y > frame_.y.high) return;
  body_ += Stroke(kLeft, Y(y), frame_.width - kRight, Y(y), fmt::format("rule line-{}", colour));
  if (!name.empty()) over_ += Text(frame_.width - kRight - 2, Y(y) - 4, "end", name, colour);
}

void SvgPlot::VerticalRule(double x, std::string_view colour, std::string_view name) {
  if (x < frame_.x.low || x > frame_.x.high) return;
  body_ += Stroke(X(x), kTop, X(x), frame_.height - kBottom, fmt::format("rule line-{}", colour));
  over_ += Text(X(x) + 4, kTop + 11, "start", name, colour);
}

void SvgPlot::Segment(const PlotPoint& from, const PlotPoint& to, std::string_view colour) {
  body_ += Stroke(X(from.x), Y(from.y), X(to.x), Y(to.y), fmt::format("rule line-{}", colour));
}

void SvgPlot::Line(std::span<const PlotPoint> points, std::string_view colour, bool dashed) {
  std::string path;
  bool drawn = false;
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.y)) {
      drawn = false;
      continue;
    }
    fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", drawn ? 'L' : 'M', X(point.x),
                   Y(point.y));
    drawn = true;
  }
  if (path.empty()) return;
  fmt::format_to(std::back_inserter(body_), "<path d=\"{}\" class=\"series {}line-{}\"/>", path,
                 dashed ? "dashed " : "", colour);
}

void SvgPlot::Bars(std::span<const PlotPoint> points, double width, std::string_view colour) {
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.y)) continue;
    const double top = std::min(Y(point.y), Y(0));
    const double height = std::abs(Y(point.y) - Y(0));
    const double left = X(point.x - width / 2);
    const double wide = std::max(X(point.x + width / 2) - left, 0.5);
    fmt::format_to(std::back_inserter(body_),
                   "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                   "class=\"fill-{}\"",
                   left, top, wide, height, colour);
    body_ += point.label.empty()
                 ? "/>"
                 : fmt::format("><title>{}</title></rect>", EscapeMarkup(point.label));
  }
}

void SvgPlot::Marks(std::span<const PlotPoint> points, Shape shape, std::string_view colour) {
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    body_ += Mark(shape, X(point.x), Y(point.y), colour, point.label);
  }
}

void SvgPlot::Key(Shape shape, std::string_view colour, std::string_view name) {
  key_ += Mark(shape, key_x_ + 4, 12, colour, "");
  key_ += Text(key_x_ + 12, 16, "start", name, "muted");
  key_x_ += 28 + kTextWidth * static_cast<double>(name.size());
}

std::string SvgPlot::Grid() const {
  std::string grid;
  const double bottom = frame_.height - kBottom;
  for (const double tick : TicksOf(frame_.y, 5)) {
    grid += Stroke(kLeft, Y(tick), frame_.width - kRight, Y(tick), "grid");
    grid += Text(kLeft - 6, Y(tick) + 4, "end", TickText(tick));
  }
  for (const double tick : TicksOf(frame_.x, frame_.width / 60)) {
    if (frame_.whole_x && tick != std::round(tick)) continue;
    grid += Stroke(X(tick), bottom, X(tick), bottom + 4, "axis");
    grid += Text(X(tick), bottom + 16, "middle", TickText(tick));
  }
  grid += Stroke(kLeft, bottom, frame_.width - kRight, bottom, "axis");
  grid += Stroke(kLeft, kTop, kLeft, bottom, "axis");
  grid += Text((kLeft + frame_.width - kRight) / 2, frame_.height - 6, "middle", text_.x_label);
  fmt::format_to(std::back_inserter(grid),
                 "<text transform=\"translate(13 {:.1f}) rotate(-90)\" text-anchor=\"middle\" "
                 "class=\"ink-muted\">{}</text>",
                 (kTop + bottom) / 2, EscapeMarkup(text_.y_label));
  return grid;
}

std::string SvgPlot::Finish() const {
  return Head(text_, frame_.width, frame_.height) + under_ + Grid() + body_ + over_ + key_ +
         "</svg>";
}

std::string NamedBars(const PlotText& text, std::span<const NamedBar> bars, double limit,
                      std::string_view limit_name) {
  constexpr double kWidth = 640;
  constexpr double kRow = 28;
  constexpr double kNames = 180;
  constexpr double kValues = 120;
  constexpr std::size_t kNameBytesMax = 26;
  PlotRange range{0, limit};
  for (const NamedBar& bar : bars) {
    range.Include(bar.value);
    range.Include(bar.high);
  }
  const double right = kWidth - kValues;
  const auto x = [&](double value) { return kNames + value / range.high * (right - kNames); };
  const double bottom = kTop + kRow * static_cast<double>(bars.size());
  std::string svg = Head(text, kWidth, bottom + kBottom);
  for (const double tick : TicksOf(range, 6)) {
    svg += Stroke(x(tick), kTop, x(tick), bottom, "grid");
    svg += Text(x(tick), bottom + 16, "middle", TickText(tick));
  }
  double top = kTop;
  for (const NamedBar& bar : bars) {
    const double middle = top + kRow / 2;
    fmt::format_to(std::back_inserter(svg),
                   "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\" "
                   "class=\"ink-text\">{}<title>{}</title></text>",
                   kNames - 8, middle + 4, EscapeMarkup(bar.name, kNameBytesMax),
                   EscapeMarkup(bar.name));
    fmt::format_to(std::back_inserter(svg),
                   "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"16\" "
                   "class=\"fill-{}\"/>",
                   kNames, middle - 8, std::max(x(bar.value) - kNames, 0.5), bar.colour);
    if (bar.high > bar.low) {
      svg += Stroke(x(bar.low), middle, x(bar.high), middle, "whisker");
      for (const double end : {bar.low, bar.high}) {
        svg += Stroke(x(end), middle - 5, x(end), middle + 5, "whisker");
      }
    }
    svg += Text(right + 8, middle + 4, "start", bar.value_text, "text");
    top += kRow;
  }
  svg += Stroke(kNames, kTop, kNames, bottom, "axis");
  svg += Stroke(x(limit), kTop - 4, x(limit), bottom, "rule line-alert");
  svg += Text(x(limit) + 4, kTop - 8, "start", limit_name, "alert");
  svg += Text((kNames + right) / 2, bottom + 34, "middle", text.x_label);
  return svg + "</svg>";
}

}  // namespace garrison
