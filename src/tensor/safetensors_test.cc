#include "tensor/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace garrison {
namespace {

std::string File(std::string header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data);
}

Result<std::map<std::string, Tensor, std::less<>>> Parse(const std::string& file) {
  return SafeTensors::Parse(std::as_bytes(std::span(file)));
}

constexpr const char* kTwo =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]}} )";

TEST(SafeTensors, ReadsEveryFloatType) {
  const std::string f32("\0\0\x80\x3f\0\0\0\xc0", 8);  // 1, -2
  const std::string bf16("\x80\x3f\x00\xc0", 4);
  const std::string file = File(kTwo, f32 + bf16);
  const auto tensors = Parse(file).value();
  ASSERT_EQ(tensors.size(), 2U);
  for (const char* name : {"a", "b"}) {
    std::vector<float> values(2);
    ReadFloats(tensors.at(name), 0, values);
    EXPECT_EQ(values, (std::vector<float>{1, -2})) << name;
    ReadFloats(tensors.at(name), 1, std::span(values).first(1));
    EXPECT_EQ(values[0], -2) << name;
  }
  EXPECT_EQ(tensors.at("b").ShapeText(), "[1, 2]");
}

TEST(SafeTensors, ReadsRowsFromTheFileAsFromMemory) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "rows_from_the_file";
  std::filesystem::create_directories(folder);
  const auto path = folder / "model.safetensors";
  const std::string f32("\0\0\x80\x3f\0\0\0\xc0", 8);
  const std::string bf16("\x80\x3f\x00\xc0", 4);
  std::ofstream(path, std::ios::binary) << File(kTwo, f32 + bf16);
  const SafeTensors weights = SafeTensors::Open(folder).value();
  for (const char* name : {"a", "b"}) {
    std::vector<float> values(2);
    ASSERT_TRUE(weights.ReadRow(*weights.Find(name), 0, values));
    EXPECT_EQ(values, (std::vector<float>{1, -2})) << name;
    ASSERT_TRUE(weights.ReadRow(*weights.Find(name), 1, std::span(values).first(1)));
    EXPECT_EQ(values[0], -2) << name;
  }
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  std::vector<float> values(2);
  const auto gone = weights.ReadRow(*weights.Find("b"), 0, values);
  EXPECT_EQ(gone.error().code, Code::kDataLoss);
  EXPECT_NE(gone.error().where.find("b"), std::string::npos);
  std::filesystem::remove_all(folder);
}

// IEEE 754 binary16: one, the largest, the smallest normal and denormal, zeros, infinity, NaN.
TEST(SafeTensors, ReadsHalves) {
  const std::array<std::uint16_t, 8> bits = {0x3c00, 0x7bff, 0x0400, 0x8001,
                                             0x0000, 0x7c00, 0xfc00, 0x7e00};
  std::string data(16, '\0');
  std::memcpy(data.data(), bits.data(), 16);
  const std::string file = File(R"({"h":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}})", data);
  const auto tensors = Parse(file).value();
  std::vector<float> values(8);
  ReadFloats(tensors.at("h"), 0, values);
  EXPECT_EQ(values[0], 1.0F);
  EXPECT_EQ(values[1], 65504.0F);
  EXPECT_EQ(values[2], 0x1p-14F);
  EXPECT_EQ(values[3], -0x1p-24F);
  EXPECT_EQ(values[4], 0.0F);
  EXPECT_EQ(values[5], INFINITY);
  EXPECT_EQ(values[6], -INFINITY);
  EXPECT_TRUE(std::isnan(values[7]));
}

TEST(SafeTensors, RefusesHostileFiles) {
  const struct {
    std::string file, part;
  } cases[] = {
      {"", "got 0 bytes"},
      {"1234567", "got 7 bytes"},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8), "cut off"},
      {std::string("\x20\0\0\0\0\0\0\0{}", 10), "cut off"},
      {File("", ""), "got nothing"},
      {File("[]", ""), "expected an object"},
      {File("{\"a\":1}", ""), "a: expected an object"},
      {File(std::string(500, '['), ""), "nested deeper"},
      {File(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "1234"), "\"dtype\""},
      {File(R"({"a":{"dtype":"F8","shape":[1],"data_offsets":[0,4]}})", "1234"), "\"F8\""},
      {File(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "1234"), "whole numbers"},
      {File(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", "1234"),
       "whole numbers"},
      {File(R"({"a":{"dtype":"F32","shape":"1","data_offsets":[0,4]}})", "1234"), "a list"},
      {File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", "1234"), "cut off"},
      {File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "1234"), "cut off"},
      {File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775808]}})", "1234"),
       "whole numbers"},
      {File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234"), "has 8 bytes"},
      {File(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})",
            "1234"),
       "larger than memory"},
      {File(R"({"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,4]}})",
            "1234"),
       "larger than memory"},
      {File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "12345678"),
       "belong to no tensor"},
      {File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "12345678"), "hole"},
      {File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
            R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
            "1234"),
       "overlaps"},
  };
  for (const auto& [file, part] : cases) {
    const auto parsed = Parse(file);
    ASSERT_FALSE(parsed.has_value()) << part;
    EXPECT_NE(parsed.error().ToString().find(part), std::string::npos)
        << parsed.error().ToString() << " lacks " << part;
  }
}

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~FolderTest() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      testing::UnitTest::GetInstance()->current_test_info()->name();
};

const std::string kShardA =
    File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "1234");
const std::string kShardB =
    File(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "5678");

TEST_F(FolderTest, ReadsShardsByTheirIndex) {
  Write("one.safetensors", kShardA);
  Write("two.safetensors", kShardB);
  Write("model.safetensors.index.json",
        R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const auto weights = SafeTensors::Open(folder_).value();
  EXPECT_NE(weights.Find("a"), nullptr);
  EXPECT_NE(weights.Find("b"), nullptr);
  EXPECT_EQ(weights.Find("c"), nullptr);
  EXPECT_EQ(weights.Fingerprint().size(), 64U);
}

TEST_F(FolderTest, NamesWhatIsMissingOrSwapped) {
  EXPECT_EQ(SafeTensors::Open(folder_).error().code, Code::kNotFound);
  const std::string index = R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})";
  Write("model.safetensors.index.json", index);
  Write("one.safetensors", kShardA);
  EXPECT_EQ(SafeTensors::Open(folder_).error().code, Code::kNotFound);
  Write("two.safetensors", kShardA);
  EXPECT_NE(SafeTensors::Open(folder_).error().message.find("two shards"), std::string::npos);
  Write("two.safetensors", File("{}", ""));
  EXPECT_NE(SafeTensors::Open(folder_).error().message.find("none of the shards"),
            std::string::npos);
  for (const char* bad : {R"({"weight_map":{"a":"../one.safetensors"}})", R"({"weight_map":{}})",
                          R"({"weight_map":[]})", "[]", "{", R"({"weight_map":{"a":1}})"}) {
    Write("model.safetensors.index.json", bad);
    EXPECT_EQ(SafeTensors::Open(folder_).error().code, Code::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace garrison
