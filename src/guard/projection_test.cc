#include "guard/projection.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "base/hash.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

ProjectionData Data() {
  ProjectionData data;
  data.model_id = "fake:model";
  data.model_revision = "r1";
  data.dimension = 3;
  data.texts = 12;
  data.texts_sha256 = Sha256Hex("texts");
  data.mean = {1, 2, 3};
  data.scale = {1, 2, 4};
  data.components = {1, 0, 0, 0, 0.6, -0.8};
  data.explained_variance = {2, 1};
  data.explained_variance_ratio = {0.6, 0.3};
  return data;
}

TEST(Projection, CentresScalesAndProjects) {
  const Projection projection = Projection::Create(Data()).value();
  const std::vector<float> x = {2, 6, 7};
  EXPECT_EQ(projection.Apply(x), (std::vector<double>{1, 0.6 * 2 + -0.8 * 1}));
  ProjectionData unscaled = Data();
  unscaled.scale.clear();
  EXPECT_EQ(Projection::Create(unscaled).value().Apply(std::vector<double>{2, 6, 7}),
            (std::vector<double>{1, 0.6 * 4 + -0.8 * 4}));
}

TEST(Projection, ReadsBackItsOwnFile) {
  for (const bool scaler : {true, false}) {
    ProjectionData data = Data();
    if (!scaler) data.scale.clear();
    const Projection projection = Projection::Create(data).value();
    const Projection read = Projection::Parse(projection.ToJson()).value();
    EXPECT_EQ(read.data(), data);
    EXPECT_EQ(read.ToJson(), projection.ToJson());
    EXPECT_EQ(read.hash(), projection.hash());
    EXPECT_EQ(read.hash(), Sha256Hex(projection.ToJson()));
  }
}

TEST(Projection, TheHashSeesEveryNumber) {
  ProjectionData other = Data();
  other.mean[2] = std::nextafter(other.mean[2], 4.0);
  EXPECT_NE(Projection::Create(other).value().hash(), Projection::Create(Data()).value().hash());
}

RC_GTEST_PROP(ProjectionProperty, KeepsEveryBit, ()) {
  ProjectionData data = Data();
  for (double& mean : data.mean) mean = *rc::gen::arbitrary<double>();
  RC_PRE(Projection::Create(data).has_value());
  const Projection read = Projection::Parse(Projection::Create(data).value().ToJson()).value();
  for (std::size_t i = 0; i < 3; ++i) RC_ASSERT(Bits(read.data().mean[i]) == Bits(data.mean[i]));
}

TEST(Projection, BelongsToOneModel) {
  const Projection projection = Projection::Create(Data()).value();
  EXPECT_TRUE(projection.CheckModel({"fake:model", "r1", 3, ""}).has_value());
  const auto expect = [&](const ModelInfo& model, const std::string& message) {
    const auto checked = projection.CheckModel(model);
    ExpectError(checked, Code::kFailedPrecondition, "guard.projection", message);
    EXPECT_NE(checked.error().message.find("garrison guard train --model " + model.id),
              std::string::npos);
  };
  expect({"other", "r1", 3, ""}, "the model fake:model, but the running model has other");
  expect({"fake:model", "r1", 4, ""}, "dimension 3, but the running model has 4");
  expect({"fake:model", "r2", 3, ""}, "revision r1, but the running model has r2");
}

TEST(ProjectionCreate, ChecksEveryField) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto expect = [](auto change, const std::string& where, const std::string& message) {
    ProjectionData data = Data();
    change(data);
    ExpectError(Projection::Create(data), Code::kInvalidArgument, where, message);
  };
  using D = ProjectionData&;
  expect([](D d) { d.model_id.clear(); }, "model.id", "expected a name");
  expect([](D d) { d.model_id = "a\nb"; }, "model.id", "expected a name");
  expect([](D d) { d.model_revision = std::string(600, 'x'); }, "model.revision",
         "expected a name");
  expect([](D d) { d.texts_sha256 = "abc"; }, "training.sha256", "64");
  expect([](D d) { d.texts_sha256[0] = 'G'; }, "training.sha256", "64");
  expect([](D d) { d.dimension = 0; }, "model.dimension", "got 0");
  expect([](D d) { d.dimension = 70'000; }, "model.dimension", "got 70000");
  expect([](D d) { d.explained_variance.clear(); }, "components", "got 0");
  expect([](D d) { d.explained_variance.resize(4); }, "components",
         "expected 1 to 3 components, got 4");
  expect([](D d) { d.mean.pop_back(); }, "mean", "expected 3 numbers, got 2");
  expect([](D d) { d.mean[1] = kNan; }, "mean[1]", "got nan");
  expect([](D d) { d.scale[1] = 0; }, "scale[1]", "got 0");
  expect([](D d) { d.scale[0] = -1; }, "scale[0]", "got -1");
  expect([](D d) { d.scale.pop_back(); }, "scale", "expected 3 numbers, got 2");
  expect([](D d) { d.components.pop_back(); }, "components", "expected 6 numbers, got 5");
  expect([](D d) { d.components[0] = 0; }, "components[0]", "length 1");
  expect([](D d) { d.components = {1, 0, 0, 1, 0, 0}; }, "components[1]", "right angles");
  expect([](D d) { d.explained_variance = {1, 2}; }, "explained_variance", "largest first");
  expect([](D d) { d.explained_variance[1] = -1; }, "explained_variance[1]", "got -1");
  expect([](D d) { d.explained_variance_ratio[0] = 2; }, "explained_variance_ratio[0]", "got 2");
  expect([](D d) { d.explained_variance_ratio.pop_back(); }, "explained_variance_ratio", "got 1");
}

TEST(ProjectionParse, TrustsNothing) {
  const auto good = nlohmann::json::parse(Projection::Create(Data()).value().ToJson());
  const auto expect = [&](auto change, const std::string& where, const std::string& message) {
    auto value = good;
    change(value);
    SCOPED_TRACE(where + message);
    ExpectError(Projection::Parse(value.dump()), Code::kInvalidArgument, where, message);
  };
  using J = nlohmann::json&;
  ExpectError(Projection::Parse(""), Code::kInvalidArgument, "", "expected JSON");
  ExpectError(Projection::Parse("[1]"), Code::kInvalidArgument, "",
              "expected an object, got an array");
  ExpectError(Projection::Parse("[[[[[[[[[1]]]]]]]]]"), Code::kInvalidArgument, "",
              "nested deeper");
  expect([](J j) { j["format"] = "pickle"; }, "format", "got \"pickle\"");
  expect([](J j) { j["version"] = 2; }, "version", "expected 1, got 2");
  expect([](J j) { j["version"] = -1; }, "version", "whole number");
  expect([](J j) { j.erase("model"); }, "model", "got none");
  expect([](J j) { j["model"] = 5; }, "model", "expected an object, got a number");
  expect([](J j) { j["model"]["id"] = 5; }, "model.id", "expected a string, got a number");
  expect([](J j) { j["model"]["dimension"] = 1e9; }, "model.dimension", "expected a whole number");
  expect([](J j) { j["model"]["dimension"] = 3.5; }, "model.dimension", "got 3.5");
  expect([](J j) { j["model"]["dimension"] = 4; }, "components[0]", "expected 4 numbers, got 3");
  expect([](J j) { j["model"]["extra"] = 4; }, "model.extra", "unknown");
  expect([](J j) { j["training"].erase("sha256"); }, "training.sha256", "got none");
  expect([](J j) { j["mean"] = "x"; }, "mean", "expected a list of numbers, got a string");
  expect([](J j) { j["mean"].push_back(1); }, "mean", "expected at most 3 numbers, got 4");
  expect([](J j) { j["mean"][1] = "x"; }, "mean[1]", "expected a number, got a string");
  expect([](J j) { j["mean"][1] = nullptr; }, "mean[1]", "expected a number, got null");
  expect([](J j) { j["scale"] = nlohmann::json::array(); }, "scale", "got 0");
  expect([](J j) { j["scale"] = nullptr; }, "scale", "got null");
  expect([](J j) { j["components"] = 1; }, "components", "expected a list of lists");
  expect([](J j) { j["components"][1] = 1; }, "components[1]", "expected a list of numbers");
  expect([](J j) { j["components"] = std::vector<int>(100); }, "components", "at most 32");
  expect([](J j) { j["explained_variance"].push_back(0.5); }, "components",
         "expected 9 numbers, got 6");
  expect([](J j) { j["note"] = "hi"; }, "note", "unknown");
}

}  // namespace
}  // namespace garrison
