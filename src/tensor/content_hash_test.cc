#include "tensor/content_hash.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/hash.h"

namespace garrison {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ContentHashTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "memo");
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::string HashOf(const std::vector<fs::path>& files) {
    return ContentHash(files, folder_ / "memo").value();
  }
  fs::path OnlyMemo() {
    fs::directory_iterator it(folder_ / "memo");
    EXPECT_NE(it, fs::directory_iterator());
    return it->path();
  }
  const fs::path folder_ =
      fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ContentHashTest, IsTheSha256OfAllFilesInTheirOrder) {
  const fs::path a = Write("a", std::string(3'000'000, 'a'));
  const fs::path b = Write("b", "b");
  EXPECT_EQ(HashOf({a, b}), Sha256Hex(std::string(3'000'000, 'a') + "b"));
  EXPECT_EQ(HashOf({b, a}), Sha256Hex("b" + std::string(3'000'000, 'a')));
}

TEST_F(ContentHashTest, AChangedFileIsReadAgainEvenWithTheSameSizeAndTime) {
  const fs::path file = Write("file", "before");
  const auto time = fs::last_write_time(file);
  EXPECT_EQ(HashOf({file}), Sha256Hex("before"));
  Write("file", "behind");
  fs::last_write_time(file, time);
  EXPECT_EQ(HashOf({file}), Sha256Hex("behind"));
}

// A file of the source tree is old enough to be remembered.
TEST_F(ContentHashTest, AnOldFileIsRememberedAndADamagedMemoIsNot) {
  const fs::path file = fs::path(GARRISON_SOURCE_DIR) / "src/tensor/content_hash.h";
  const std::string truth = Sha256Hex(ReadAll(file));
  EXPECT_EQ(HashOf({file}), truth);
  const fs::path memo = OnlyMemo();
  const std::string written = ReadAll(memo);
  EXPECT_EQ(written.substr(0, 64), truth);
  // Only who knows how a memo is sealed can make it lie: so we see that it is read.
  const std::string lie(64, 'f');
  const std::string stamp = written.substr(65, written.size() - 65 - 65);
  std::ofstream(memo, std::ios::binary) << lie << "\n" << stamp << Sha256Hex(lie + stamp) << "\n";
  EXPECT_EQ(HashOf({file}), lie);
  for (const std::string& damaged :
       {std::string(), written.substr(0, 30), lie + written.substr(64), std::string(500, 'x')}) {
    std::ofstream(memo, std::ios::binary) << damaged;
    EXPECT_EQ(HashOf({file}), truth);
  }
}

TEST_F(ContentHashTest, WorksWithoutAFolderForMemos) {
  const fs::path file = fs::path(GARRISON_SOURCE_DIR) / "src/tensor/content_hash.h";
  EXPECT_EQ(ContentHash(std::vector{file}, folder_ / "none").value(), Sha256Hex(ReadAll(file)));
}

TEST_F(ContentHashTest, NamesTheFileThatIsMissing) {
  const auto hash = ContentHash(std::vector{folder_ / "missing"}, folder_ / "memo");
  ASSERT_FALSE(hash.has_value());
  EXPECT_EQ(hash.error().code, Code::kNotFound);
  EXPECT_NE(hash.error().where.find("missing"), std::string::npos);
}

}  // namespace
}  // namespace garrison
