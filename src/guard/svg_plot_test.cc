#include "guard/svg_plot.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace garrison {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

const PlotText kText{"p-1", "A <title>", "What \"it\" says", "x & y", "up"};
// 100 units of x over 640 - 56 - 12 = 572 pixels, 1 of y over 220 - 26 - 40 = 154.
const PlotFrame kFrame{.x = {0, 100}, .y = {0, 1}};

TEST(TicksOf, AreRoundNumbersInsideTheRange) {
  EXPECT_EQ(TicksOf({0, 1}, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(TicksOf({0, 2}, 4), (std::vector<double>{0, 0.5, 1, 1.5, 2}));
  EXPECT_EQ(TicksOf({-3, 3}, 3), (std::vector<double>{-2, 0, 2}));
  EXPECT_EQ(TicksOf({0.5, 8.5}, 10).size(), 8u);
  EXPECT_TRUE(TicksOf({1, 1}, 5).empty());
  EXPECT_TRUE(TicksOf({0, kNan}, 5).empty());
  EXPECT_EQ(TickText(0.6000000000000001), "0.6");
  EXPECT_EQ(TickText(0), "0");
}

RC_GTEST_PROP(TicksOfProperty, AreFewInsideAndEvenlyApart, ()) {
  const double low = *rc::gen::inRange(-1'000'000, 1'000'000) / 997.0;
  const double size = *rc::gen::inRange(1, 1'000'000) / 131.0;
  const int most = *rc::gen::inRange(4, 12);
  const std::vector<double> ticks = TicksOf({low, low + size}, most);
  RC_ASSERT(!ticks.empty());
  RC_ASSERT(ticks.size() <= static_cast<std::size_t>(most) + 1);
  for (const double tick : ticks) {
    RC_ASSERT(tick >= low - 1e-6 * size && tick <= low + size * (1 + 1e-6));
  }
}

TEST(WithRoom, IsNeverEmpty) {
  EXPECT_GT(WithRoom({2, 2}).size(), 0);
  EXPECT_GT(WithRoom({0, 1}).high, 1);
  PlotRange range{0, 1};
  range.Include(kNan);
  range.Include(-std::numeric_limits<double>::infinity());
  range.Include(3);
  EXPECT_EQ(range.low, 0);
  EXPECT_EQ(range.high, 3);
}

TEST(SvgPlot, SaysWhatItIs) {
  const std::string svg = SvgPlot(kText, kFrame).Finish();
  EXPECT_TRUE(
      svg.starts_with("<svg id=\"p-1\" class=\"plot\" role=\"img\" "
                      "aria-labelledby=\"p-1-t p-1-d\""));
  EXPECT_NE(svg.find("viewBox=\"0 0 640 220\""), std::string::npos);
  EXPECT_NE(svg.find("<title id=\"p-1-t\">A &lt;title&gt;</title>"), std::string::npos);
  EXPECT_NE(svg.find("<desc id=\"p-1-d\">What &quot;it&quot; says</desc>"), std::string::npos);
  EXPECT_NE(svg.find("x &amp; y"), std::string::npos);
  EXPECT_TRUE(svg.ends_with("</svg>"));
}

TEST(SvgPlot, PutsThingsWhereTheyBelong) {
  SvgPlot plot(kText, kFrame);
  const std::vector<PlotPoint> points = {{0, 0}, {50, 0.5}, {100, 1}};
  plot.Line(points, "user", true);
  plot.Marks({&points[1], 1}, SvgPlot::Shape::kCircle, "model");
  plot.Bars({&points[1], 1}, 10, "model");
  plot.HorizontalRule(0.5, "alert", "half");
  plot.HorizontalRule(7, "alert", "outside");
  plot.VerticalRule(100, "safe", "end");
  plot.Band(0.5, 99, "critical");
  const std::string svg = plot.Finish();
  EXPECT_NE(svg.find("<path d=\"M56.0 180.0L342.0 103.0L628.0 26.0\" class=\"series dashed "
                     "line-user\"/>"),
            std::string::npos);
  EXPECT_NE(svg.find("<circle cx=\"342.0\" cy=\"103.0\" r=\"3.5\" class=\"fill-model\"/>"),
            std::string::npos);
  EXPECT_NE(svg.find("<rect x=\"313.4\" y=\"103.0\" width=\"57.2\" height=\"77.0\" "
                     "class=\"fill-model\"/>"),
            std::string::npos);
  EXPECT_NE(
      svg.find("x1=\"56.0\" y1=\"103.0\" x2=\"628.0\" y2=\"103.0\" class=\"rule line-alert\""),
      std::string::npos);
  EXPECT_EQ(svg.find("outside"), std::string::npos);
  EXPECT_NE(svg.find("x1=\"628.0\" y1=\"26.0\" x2=\"628.0\" y2=\"180.0\" class=\"rule line-safe\""),
            std::string::npos);
  EXPECT_NE(svg.find("<rect x=\"56.0\" y=\"26.0\" width=\"572.0\" height=\"77.0\" "
                     "class=\"zone-critical\"/>"),
            std::string::npos);
}

TEST(SvgPlot, LeavesGapsOpen) {
  SvgPlot plot(kText, kFrame);
  const std::vector<PlotPoint> points = {{0, 0}, {10, kNan}, {20, 0}, {30, 0}};
  plot.Line(points, "user");
  plot.Marks(points, SvgPlot::Shape::kSquare, "user");
  plot.Bars(points, 5, "model");
  const std::string svg = plot.Finish();
  EXPECT_EQ(Count(svg, "M56.0 180.0M170.4 180.0L227.6 180.0"), 1u);
  EXPECT_EQ(Count(svg, "fill-user"), 3u);
  EXPECT_EQ(Count(svg, "fill-model"), 3u);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(SvgPlot, BarsBelowZeroHangDown) {
  SvgPlot plot(kText, {.x = {0, 100}, .y = {-1, 1}});
  const std::vector<PlotPoint> down = {{50, -1, "turn <1>"}};
  plot.Bars(down, 10, "model");
  EXPECT_NE(plot.Finish().find("y=\"103.0\" width=\"57.2\" height=\"77.0\" class=\"fill-model\">"
                               "<title>turn &lt;1&gt;</title></rect>"),
            std::string::npos);
}

TEST(SvgPlot, EveryShapeIsClosed) {
  for (const auto shape : {SvgPlot::Shape::kCircle, SvgPlot::Shape::kSquare,
                           SvgPlot::Shape::kTriangle, SvgPlot::Shape::kDiamond}) {
    for (const char* label : {"", "a & b"}) {
      SvgPlot plot(kText, kFrame);
      const std::vector<PlotPoint> one = {{50, 0.5, label}};
      plot.Marks(one, shape, "user");
      const std::string svg = plot.Finish();
      EXPECT_EQ(Count(svg, "fill-user"), 1u);
      EXPECT_EQ(Count(svg, "<title>a &amp; b</title></"), *label == 0 ? 0u : 1u);
    }
  }
}

TEST(NamedBars, HasANameAValueAndAnIntervalForEach) {
  const std::vector<NamedBar> bars = {{"1. <a>", 0.5, "0.5000 FAIL", "critical", 0.25, 1},
                                      {"2. b", 0, "0.0000 PASS", "safe", 0, 0}};
  const std::string svg = NamedBars(kText, bars, 0.1, "limit 0.1");
  EXPECT_NE(svg.find("1. &lt;a&gt;"), std::string::npos);
  EXPECT_NE(svg.find("0.5000 FAIL"), std::string::npos);
  EXPECT_NE(svg.find("limit 0.1"), std::string::npos);
  EXPECT_EQ(Count(svg, "whisker"), 3u);
  EXPECT_NE(svg.find("x=\"180.0\" y=\"32.0\" width=\"170.0\""), std::string::npos) << svg;
}

}  // namespace
}  // namespace garrison
