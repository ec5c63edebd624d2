// Bytes of the file are changed at random, before it is opened and while it is open: every look-up
// gives the right vector or none.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "storage/test_vectors.h"
#include "storage/tiered_cache.h"

namespace garrison {
namespace {

constexpr int kVectors = 300;
constexpr std::chrono::seconds kPatience{30};

class Damage : public testing::TestWithParam<int> {
 protected:
  Damage() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "garrison-db-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    place_ = (folder_ / "v.db").string();
  }
  ~Damage() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<TieredCache> Open() {
    CacheSettings settings;
    settings.memory_bytes = 0;
    settings.file = place_;
    return std::make_unique<TieredCache>(settings, DatabaseSettings{}, clock_, *logger_);
  }

  std::string Read() const {
    std::ifstream file(place_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // In place: the open connections go on with the same file.
  void Write(const std::string& content) const {
    std::fstream file(place_, std::ios::binary | std::ios::in | std::ios::out);
    file << content;
  }

  // How many were found. Each of them must be right.
  static int CheckAll(TieredCache& cache) {
    int found = 0;
    for (int i = 0; i < kVectors; ++i) {
      const std::string text = std::to_string(i);
      const VectorKey key = KeyOfText(text);
      const auto vector = cache.Find(std::span(&key, 1))[0];
      if (!vector) continue;
      ++found;
      EXPECT_EQ(*vector, VectorOfText(text)) << text;
    }
    return found;
  }

  void Fill() {
    const auto cache = Open();
    std::vector<NewVector> vectors;
    for (int i = 0; i < kVectors; ++i) vectors.push_back(NewOfText(std::to_string(i)));
    cache->Store(std::move(vectors));
    ASSERT_TRUE(cache->Flush(kPatience));
  }

  const SystemClock clock_;
  const std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::filesystem::path folder_;
  std::string place_;
};

std::string Flip(std::string content, int bytes, std::mt19937& random) {
  for (int n = 0; n < bytes; ++n) {
    char& byte = content[random() % content.size()];
    byte = static_cast<char>(byte ^ (1 << random() % 8));
  }
  return content;
}

// The parameter: how many bytes change. One hits data mostly; hundreds hit every page.
TEST_P(Damage, BytesThatFlipInTheFileNeverGiveAWrongVector) {
  Fill();
  const std::string sound = Read();
  std::mt19937 random(static_cast<std::uint32_t>(GetParam()));
  int found = 0;
  constexpr int kRounds = 40;
  for (int round = 0; round < kRounds; ++round) {
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(place_ + suffix);
    Write(Flip(sound, GetParam(), random));
    const auto cache = Open();
    found += CheckAll(*cache);
    cache->Store({NewOfText("new")});
    const VectorKey key = KeyOfText("new");
    cache->Find(std::span(&key, 1));
  }
  EXPECT_LT(found, kRounds * kVectors) << "not one byte that mattered was hit";
  if (GetParam() == 1) {
    EXPECT_GT(found, kRounds * kVectors / 2);
  }
}
INSTANTIATE_TEST_SUITE_P(Bytes, Damage, testing::Values(1, 8, 64, 512));

using OpenDamage = Damage;

TEST_F(OpenDamage, BytesThatFlipWhileItIsOpenNeverGiveAWrongVector) {
  Fill();
  const std::string sound = Read();
  std::mt19937 random(7);
  for (int round = 0; round < 15; ++round) {
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(place_ + suffix);
    Write(sound);
    const auto cache = Open();
    EXPECT_GT(CheckAll(*cache), 0);
    Write(Flip(sound, 40, random));
    CheckAll(*cache);
  }
}

TEST_F(OpenDamage, AFileThatIsCutShortNeverGivesAWrongVector) {
  Fill();
  const std::string sound = Read();
  std::mt19937 random(7);
  for (int round = 0; round < 15; ++round) {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(place_ + suffix);
    std::ofstream(place_, std::ios::binary) << sound;
    const auto cache = Open();
    CheckAll(*cache);
    std::filesystem::resize_file(place_, random() % sound.size());
    CheckAll(*cache);
    const auto other = Open();
    CheckAll(*other);
  }
}

}  // namespace
}  // namespace garrison
