#include "guard/train.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/hash.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

const std::string kHash = Sha256Hex("texts");

ModelInfo Model(std::size_t dimension) { return {"fake:model", "r1", dimension, ""}; }

std::vector<double> RandomRows(std::size_t n, std::size_t d, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> rows(n * d);
  for (double& x : rows) x = normal(random);
  return rows;
}

void ExpectNear(const std::vector<double>& got, const std::vector<double>& want,
                std::string_view what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], 1e-9) << what << " " << i;
}

std::vector<double> Flatten(const nlohmann::json& rows) {
  std::vector<double> flat;
  for (const auto& row : rows) {
    for (const auto& x : row) flat.push_back(x);
  }
  return flat;
}

TEST(TrainProjection, AgreesWithScikitLearnSignsIncluded) {
  const auto cases = JsonFixture("pca.json");
  ASSERT_GE(cases.size(), 8u);
  for (const auto& c : cases) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const std::vector<double> rows = Flatten(c["rows"]);
    const std::size_t d = c["rows"][0].size();
    const auto trained =
        TrainProjection(rows, Model(d), kHash, {.scaler = c["scaler"], .components = c["k"]})
            .value();
    const ProjectionData& data = trained.projection.data();
    ExpectNear(data.mean, c["mean"], "mean");
    ExpectNear(data.scale, c["scale"], "scale");
    ExpectNear(data.components, Flatten(c["components"]), "components");
    ExpectNear(data.explained_variance, c["explained_variance"], "explained variance");
    ExpectNear(data.explained_variance_ratio, c["explained_variance_ratio"], "ratio");
    const std::vector<double> projected = Flatten(c["projected"]);
    for (std::size_t i = 0; i < c["rows"].size(); ++i) {
      const auto got = trained.projection.Apply(std::span<const double>(rows).subspan(i * d, d));
      for (std::size_t j = 0; j < data.k(); ++j)
        ASSERT_NEAR(got[j], projected[i * data.k() + j], 1e-9);
    }
    EXPECT_EQ(data.texts, c["rows"].size());
    EXPECT_EQ(data.texts_sha256, kHash);
    EXPECT_EQ(data.model_id, "fake:model");
    EXPECT_EQ(data.model_revision, "r1");
  }
}

// The variance of the projected training set is the explained variance, whatever the shape.
TEST(TrainProjection, ExplainsTheVarianceOfItsOwnRows) {
  for (const auto& [n, d] : std::vector<std::pair<std::size_t, std::size_t>>{
           {10, 2}, {10, 40}, {64, 64}, {65, 64}, {64, 65}, {300, 48}, {48, 300}}) {
    SCOPED_TRACE(fmt::format("{} x {}", n, d));
    const std::vector<double> rows = RandomRows(n, d, 5);
    const auto trained = TrainProjection(rows, Model(d), kHash, {}).value();
    std::vector<double> squares(2);
    for (std::size_t i = 0; i < n; ++i) {
      const auto got = trained.projection.Apply(std::span<const double>(rows).subspan(i * d, d));
      for (std::size_t j = 0; j < 2; ++j) squares[j] += got[j] * got[j];
    }
    for (std::size_t j = 0; j < 2; ++j) {
      EXPECT_NEAR(squares[j] / static_cast<double>(n - 1),
                  trained.projection.data().explained_variance[j], 1e-9);
    }
  }
}

TEST(TrainProjection, TakesFloatsAndGivesTheSameBytesTwice) {
  const std::vector<double> wide = RandomRows(20, 8, 9);
  const std::vector<float> rows(wide.begin(), wide.end());
  const std::vector<double> exact(rows.begin(), rows.end());
  const auto from_floats = TrainProjection(rows, Model(8), kHash, {}).value();
  const auto again = TrainProjection(rows, Model(8), kHash, {}).value();
  const auto from_doubles = TrainProjection(exact, Model(8), kHash, {}).value();
  EXPECT_EQ(from_floats.projection.hash(), again.projection.hash());
  EXPECT_EQ(from_floats.projection.hash(), from_doubles.projection.hash());
}

TEST(TrainProjection, WarnsWhenLittleVarianceIsKept) {
  // One strong direction of the given strength over noise of 20 dimensions.
  const auto trained = [](double strength) {
    std::vector<double> rows = RandomRows(200, 20, 3);
    for (std::size_t i = 0; i < 200; ++i) rows[i * 20] *= strength;
    return TrainProjection(rows, Model(20), kHash, {}).value();
  };
  const auto weak = trained(1);
  ASSERT_EQ(weak.warnings.size(), 1u);
  EXPECT_LT(weak.explained, 0.5);
  EXPECT_NE(weak.warnings[0].find("less than half"), std::string::npos);
  const auto fair = trained(6);
  EXPECT_GT(fair.explained, 0.5);
  EXPECT_LT(fair.explained, 0.7);
  ASSERT_EQ(fair.warnings.size(), 1u);
  EXPECT_NE(fair.warnings[0].find("less than 70 %"), std::string::npos);
  EXPECT_TRUE(trained(20).warnings.empty());
}

TEST(TrainProjection, RefusesWhatItCannotTrainOn) {
  const auto expect = [](std::size_t n, std::size_t d, TrainOptions options,
                         const std::string& where, const std::string& message) {
    ExpectError(TrainProjection(RandomRows(n, d, 1), Model(d), kHash, options),
                Code::kInvalidArgument, where, message);
  };
  expect(9, 4, {}, "", "got 9");
  expect(0, 4, {}, "", "got 0");
  expect(12, 4, {.components = 0}, "components", "got 0");
  expect(12, 4, {.components = 5}, "components", "expected 1 to 4 components");
  expect(12, 40, {.components = 13}, "components", "expected 1 to 12 components");
  expect(12, 40, {.components = 12}, "components", "fewer than 12 directions");
  expect(50, 40, {.components = 33}, "components", "expected 1 to 32 components");
  ExpectError(TrainProjection(std::vector<double>(50), Model(4), kHash, {}), Code::kInvalidArgument,
              "", "expected rows of 4 numbers");
  ExpectError(TrainProjection(std::vector<double>(40, 0.1), Model(4), kHash, {}),
              Code::kInvalidArgument, "components", "fewer than 2 directions");
  std::vector<double> rows = RandomRows(12, 4, 1);
  rows[9] = std::numeric_limits<double>::quiet_NaN();
  ExpectError(TrainProjection(rows, Model(4), kHash, {}), Code::kInvalidArgument, "text 3",
              "finite");
}

}  // namespace
}  // namespace garrison
