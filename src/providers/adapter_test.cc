#include "providers/adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace garrison {
namespace {

struct Data {
  std::vector<float> x;
  std::vector<float> y;
};

// y = xA + b + noise, of `n` texts; normalised if asked for.
Data Linear(std::size_t n, std::size_t dx, std::size_t dy, double noise, bool unit) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<double> a(dx * dy), b(dy);
  for (double& value : a) value = normal(random) / std::sqrt(static_cast<double>(dx));
  for (double& value : b) value = normal(random);
  Data data;
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<double> x(dx), y = b;
    for (double& value : x) value = normal(random);
    for (std::size_t p = 0; p < dx; ++p) {
      for (std::size_t q = 0; q < dy; ++q) y[q] += x[p] * a[p * dy + q];
    }
    double squares = 0;
    for (double& value : y) value += noise * normal(random);
    for (const double value : y) squares += value * value;
    for (const double value : x) data.x.push_back(static_cast<float>(value));
    for (const double value : y) {
      data.y.push_back(static_cast<float>(unit ? value / std::sqrt(squares) : value));
    }
  }
  return data;
}

AdapterTraining Training(std::size_t dx, std::size_t dy, AdapterMethod method) {
  return {.method = method, .from = {"a", "r1", dx}, .to = {"b", "", dy}, .texts_sha256 = "00"};
}

TEST(Adapters, RidgeFindsALinearMapFromFewAndManyTexts) {
  for (const std::size_t n : {200u, 2000u}) {
    const Data data = Linear(n, 30, 20, 0.01, false);
    const auto adapter = TrainAdapter(data.x, data.y, Training(30, 20, AdapterMethod::kRidge));
    ASSERT_TRUE(adapter) << adapter.error().ToString();
    EXPECT_GT(adapter->data().quality.explained, 0.999);
    EXPECT_EQ(adapter->data().quality.recall, 1);
    EXPECT_EQ(adapter->data().held_out, n / 5);
    const auto mapped = adapter->Apply(std::span(data.x).first(30));
    for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(mapped[i], data.y[i], 0.1);
  }
}

TEST(Adapters, FewerTextsThanDimensionsStillTrain) {
  const Data data = Linear(120, 300, 8, 0.0, true);
  auto training = Training(300, 8, AdapterMethod::kRidge);
  training.explained_min = -10;
  const auto adapter = TrainAdapter(data.x, data.y, training);
  ASSERT_TRUE(adapter) << adapter.error().ToString();
  EXPECT_TRUE(adapter->data().normalized);
  double squares = 0;
  for (const float value : adapter->Apply(std::span(data.x).first(300)))
    squares += double{value} * double{value};
  EXPECT_NEAR(squares, 1, 1e-6);
}

// A rotation of the plane: the answer is known without any reference.
TEST(Adapters, ProcrustesFindsTheRotation) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  const float c = std::cos(0.7F), s = std::sin(0.7F);
  Data data;
  for (int i = 0; i < 200; ++i) {
    const float x = normal(random), y = normal(random);
    data.x.insert(data.x.end(), {x, y});
    data.y.insert(data.y.end(), {c * x - s * y, s * x + c * y});
  }
  const auto adapter = TrainAdapter(data.x, data.y, Training(2, 2, AdapterMethod::kProcrustes));
  ASSERT_TRUE(adapter) << adapter.error().ToString();
  const std::vector<float>& w = adapter->data().matrix;
  EXPECT_NEAR(w[0], c, 1e-5);
  EXPECT_NEAR(w[1], s, 1e-5);
  EXPECT_NEAR(w[2], -s, 1e-5);
  EXPECT_NEAR(w[3], c, 1e-5);
}

TEST(Adapters, WhatIsTooPoorIsRefusedWithItsMeasure) {
  Data data = Linear(500, 10, 10, 0.0, false);
  const Data other = Linear(500, 10, 10, 100.0, false);  // nearly nothing but noise
  const auto adapter = TrainAdapter(data.x, other.y, Training(10, 10, AdapterMethod::kRidge));
  ASSERT_FALSE(adapter);
  EXPECT_EQ(adapter.error().code, Code::kFailedPrecondition);
  EXPECT_NE(adapter.error().message.find("too poor"), std::string::npos);
  EXPECT_EQ(TrainAdapter(std::span(data.x).first(500), std::span(data.y).first(500),
                         Training(10, 10, AdapterMethod::kRidge))
                .error()
                .code,
            Code::kInvalidArgument);
  data.y[3] = NAN;
  EXPECT_EQ(TrainAdapter(data.x, data.y, Training(10, 10, AdapterMethod::kRidge)).error().code,
            Code::kInvalidArgument);
}

TEST(Adapters, FilesReadBackAndAreCheckedForTheirModels) {
  const Data data = Linear(200, 3, 2, 0.01, false);
  const Adapter adapter =
      TrainAdapter(data.x, data.y, Training(3, 2, AdapterMethod::kRidge)).value();
  const std::string text = adapter.ToJson();
  const auto back = Adapter::Parse(text);
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->data(), adapter.data());
  const ModelInfo a{.id = "a", .revision = "r1", .dimension = 3}, b{.id = "b", .dimension = 2};
  EXPECT_TRUE(back->CheckModels(a, b));
  EXPECT_FALSE(back->CheckModels(b, a));
  EXPECT_FALSE(back->CheckModels({.id = "a", .revision = "r2", .dimension = 3}, b));
  EXPECT_TRUE(back->CheckModels(a, {.id = "b", .dimension = 0}));  // not known yet
  for (const auto& [what, with] : std::vector<std::pair<std::string, std::string>>{
           {"\"version\":1", "\"version\":2"},
           {"\"ridge\"", "\"magic\""},
           {"\"dimension\":3", "\"dimension\":4"},
           {"\"dimension\":2", "\"dimension\":0"},
           {"\"matrix\":\"", "\"matrix\":\"A"},
           {"\"normalized\":false", "\"normalized\":0"},
           {"\"texts\":160", "\"texts\":-1"}}) {
    std::string damaged = text;
    ASSERT_NE(damaged.find(what), std::string::npos) << what;
    damaged.replace(damaged.find(what), what.size(), with);
    EXPECT_FALSE(Adapter::Parse(damaged)) << what;
  }
  for (std::size_t cut = 0; cut + 2 < text.size(); cut += 11)
    EXPECT_FALSE(Adapter::Parse(text.substr(0, cut)));
}

}  // namespace
}  // namespace garrison
