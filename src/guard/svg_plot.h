// Plots as SVG text: axes with ticks, lines, bars, points, zones.
//
// Colours are classes ("user", "model", "safe", "alert", "critical", "muted"), which the page
// around gives a value for light and dark; shapes and dashes tell series apart without colour.
// Every text that comes in is escaped. Deterministic: the same calls give the same bytes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace garrison {

struct PlotPoint {
  double x = 0;
  double y = 0;            // not finite: a gap
  std::string label = {};  // shown when one points at it; may be empty
};

struct PlotRange {
  double low = 0;
  double high = 1;

  void Include(double value);  // what is not finite changes nothing
  double size() const { return high - low; }
};

// `range` with a little room at both ends; never empty.
PlotRange WithRoom(PlotRange range);

// Ticks at 1, 2 or 5 times a power of ten inside `range`, at most `count_max` of them.
std::vector<double> TicksOf(const PlotRange& range, int count_max);

// "0.25", "1e-05": as few digits as ticks need.
std::string TickText(double value);

struct PlotText {
  std::string id;  // of the element; unique on the page; letters, digits and '-'
  std::string title;
  std::string description;  // what a person who cannot see it should know
  std::string x_label;
  std::string y_label;
};

struct PlotFrame {
  int width = 640;
  int height = 220;
  PlotRange x;
  PlotRange y;
  bool whole_x = false;  // ticks of x at whole numbers only
};

class SvgPlot {
 public:
  enum class Shape { kCircle, kSquare, kTriangle, kDiamond };

  SvgPlot(PlotText text, const PlotFrame& frame);

  // A zone between two y, behind everything else.
  void Band(double low, double high, std::string_view colour);
  // Dashed, through the whole plot, with its name at the end.
  void HorizontalRule(double y, std::string_view colour, std::string_view name);
  void VerticalRule(double x, std::string_view colour, std::string_view name);
  void Segment(const PlotPoint& from, const PlotPoint& to, std::string_view colour);
  void Line(std::span<const PlotPoint> points, std::string_view colour, bool dashed = false);
  // From y = 0; `width` in units of x.
  void Bars(std::span<const PlotPoint> points, double width, std::string_view colour);
  void Marks(std::span<const PlotPoint> points, Shape shape, std::string_view colour);
  // A line of the key above the plot.
  void Key(Shape shape, std::string_view colour, std::string_view name);

  // The <svg> element.
  std::string Finish() const;

 private:
  double X(double value) const;
  double Y(double value) const;
  std::string Grid() const;

  const PlotText text_;
  const PlotFrame frame_;
  std::string under_;
  std::string body_;
  std::string over_;
  std::string key_;
  double key_x_;
};

// A bar chart with names: horizontal bars from 0, one below the other.
struct NamedBar {
  std::string name;
  double value = 0;
  std::string value_text;
  std::string colour;
  // Of the interval around it; equal: none is drawn.
  double low = 0;
  double high = 0;
};

// With a vertical rule at `limit`.
std::string NamedBars(const PlotText& text, std::span<const NamedBar> bars, double limit,
                      std::string_view limit_name);

}  // namespace garrison
