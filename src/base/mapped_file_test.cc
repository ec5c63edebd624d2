#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>

namespace garrison {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  fs::path folder_;
};

TEST_F(MappedFileTest, MapsTheWholeFileAndMoves) {
  const fs::path path = Write("data", std::string("ab\0cd", 5));
  MappedFile file = MappedFile::Open(path, 5).value();
  MappedFile moved = std::move(file);
  ASSERT_EQ(moved.bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(moved.bytes()[4]), 'd');
  EXPECT_TRUE(MappedFile::Open(Write("empty", ""), 0).value().bytes().empty());
}

TEST_F(MappedFileTest, ReadsPartsAndSaysWhenTheyAreGone) {
  const fs::path path = Write("data", std::string(10'000, 'a') + "bcd");
  const MappedFile file = MappedFile::Open(path, 1 << 20).value();
  std::array<std::byte, 3> part{};
  ASSERT_TRUE(file.Read(10'000, part));
  EXPECT_EQ(static_cast<char>(part[2]), 'd');
  file.DropPages();
  EXPECT_EQ(static_cast<char>(file.bytes()[10'001]), 'c');
  EXPECT_EQ(file.Read(10'001, part).error().code, Code::kDataLoss);
  fs::resize_file(path, 5000);
  EXPECT_EQ(file.Read(10'000, part).error().code, Code::kDataLoss);
}

TEST_F(MappedFileTest, EveryFailureHasItsCodeAndNamesTheFile) {
  const auto missing = MappedFile::Open(folder_ / "missing", 1);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_EQ(missing.error().where, (folder_ / "missing").string());
  EXPECT_EQ(MappedFile::Open(folder_, 1 << 20).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(MappedFile::Open(Write("big", "12345"), 4).error().code, Code::kResourceExhausted);
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::Open(fifo, 1).error().code, Code::kFailedPrecondition);
}

TEST_F(MappedFileTest, ReadTextFileHasALimit) {
  const fs::path path = Write("text", "hello");
  EXPECT_EQ(ReadTextFile(path, 5).value(), "hello");
  EXPECT_EQ(ReadTextFile(path, 4).error().code, Code::kResourceExhausted);
  EXPECT_EQ(ReadTextFile(folder_ / "none", 4).error().code, Code::kNotFound);
  // A directory opens but cannot be read.
  EXPECT_EQ(ReadTextFile(folder_, 4).error().code, Code::kUnavailable);
}

TEST_F(MappedFileTest, WritesReplaceTheFileAndLeaveNothingBehind) {
  const fs::path path = Write("out", "old");
  ASSERT_TRUE(WriteFileAtomically(path, "new content"));
  EXPECT_EQ(ReadTextFile(path, 100).value(), "new content");
  EXPECT_EQ(WriteFileAtomically(folder_ / "no" / "such", "x").error().code, Code::kNotFound);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(MappedFileTest, WritingKeepsLinksAndPipesWhatTheyAre) {
  const fs::path target = Write("target", "old");
  fs::create_symlink(target, folder_ / "link");
  ASSERT_TRUE(WriteFileAtomically(folder_ / "link", "new"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(ReadTextFile(target, 100).value(), "new");
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = ReadTextFile(fifo, 100).value(); });
  EXPECT_TRUE(WriteFileAtomically(fifo, "through"));
  reader.join();
  EXPECT_EQ(got, "through");
  EXPECT_TRUE(fs::is_fifo(fifo));
}

}  // namespace
}  // namespace garrison
