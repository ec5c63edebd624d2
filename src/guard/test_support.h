// Shared by the guard's tests.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "core/embedder.h"

namespace garrison {

inline std::string ReadFixture(const std::string& name) {
  return ReadTextFile(std::string(GARRISON_SOURCE_DIR "/") + name, 1 << 20).value();
}

inline nlohmann::json JsonFixture(const std::string& name) {
  return nlohmann::json::parse(ReadFixture("tests/fixtures/guard/" + name));
}

// Of this process, now.
inline std::size_t ResidentBytes() {
  std::size_t size = 0;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> size >> pages;
  return pages * 4096;
}

inline std::uint64_t Bits(double value) { return std::bit_cast<std::uint64_t>(value); }

// Fails unless `result` is that error.
template <typename T>
void ExpectError(const Result<T>& result, Code code, const std::string& where,
                 const std::string& part_of_message) {
  ASSERT_FALSE(result.has_value()) << "expected an error: " << part_of_message;
  EXPECT_EQ(result.error().code, code) << result.error().ToString();
  EXPECT_EQ(result.error().where, where) << result.error().ToString();
  EXPECT_NE(result.error().message.find(part_of_message), std::string::npos)
      << result.error().ToString();
}

// Gives each known text its vector and refuses all others, as a model refuses what it cannot embed.
class FakeEmbedder final : public Embedder {
 public:
  FakeEmbedder(std::size_t dimension, std::map<std::string, std::vector<float>> vectors)
      : info_{.id = "fake:model", .revision = "r1", .dimension = dimension},
        vectors_(std::move(vectors)) {}

  const ModelInfo& info() const override { return info_; }

  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override {
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(request.inputs.size());
    }
    if (context.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
    Embeddings out;
    out.dimension = info_.dimension;
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
      const auto found = vectors_.find(std::get<std::string>(request.inputs[i]));
      if (found == vectors_.end()) {
        return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument, "nothing to embed");
      }
      out.values.insert(out.values.end(), found->second.begin(), found->second.end());
      out.tokens.push_back(1);
    }
    return out;
  }

  // Inputs of each call so far.
  std::vector<std::size_t> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  const ModelInfo info_;
  const std::map<std::string, std::vector<float>> vectors_;
  mutable std::mutex mutex_;
  mutable std::vector<std::size_t> calls_;
};

}  // namespace garrison
