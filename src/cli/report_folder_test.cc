#include "cli/report_folder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/test_cli.h"

namespace garrison {
namespace {

class ReportFolderTest : public CliTest {
 protected:
  std::string Folder() const { return Path("report"); }
  Result<> Write(const ReportFolder::Files& files, bool force = false) const {
    auto report = ReportFolder::Open(Folder());
    if (!report) return tl::unexpected(report.error());
    return report->Write(files, force);
  }
  std::string Content(const std::string& name) const { return Read(Folder() + "/" + name); }
};

TEST_F(ReportFolderTest, WritesItsFilesAndReplacesThem) {
  ASSERT_TRUE(Write({{"a/b.csv", "one"}, {"c.html", "two"}}).has_value());
  EXPECT_EQ(Content("a/b.csv"), "one");
  ASSERT_TRUE(Write({{"a/b.csv", "three"}, {"c.html", "two"}}).has_value());
  EXPECT_EQ(Content("a/b.csv"), "three");
  const std::string list = Content(kReportList);
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 2);
  EXPECT_NE(list.find("  a/b.csv\n"), std::string::npos);
}

TEST_F(ReportFolderTest, TouchesNothingThatItDidNotWrite) {
  std::filesystem::create_directories(Folder());
  File("report/c.html", "mine");
  const auto refused = Write({{"a.csv", "x"}, {"c.html", "y"}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kAlreadyExists);
  EXPECT_EQ(refused.error().where, Folder() + "/c.html");
  EXPECT_NE(refused.error().message.find("not of an earlier report"), std::string::npos);
  EXPECT_EQ(Content("c.html"), "mine");
  EXPECT_FALSE(std::filesystem::exists(Folder() + "/a.csv"))
      << "refused before anything is written";
  ASSERT_TRUE(Write({{"a.csv", "x"}, {"c.html", "y"}}, true).has_value());
  EXPECT_EQ(Content("c.html"), "y");
}

TEST_F(ReportFolderTest, NoticesWhatWasChangedSince) {
  ASSERT_TRUE(Write({{"c.html", "one"}}).has_value());
  File("report/c.html", "edited");
  const auto refused = Write({{"c.html", "two"}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("was changed since"), std::string::npos);
}

TEST_F(ReportFolderTest, RemovesWhatItWroteAndNoLongerWrites) {
  ASSERT_TRUE(Write({{"turns/a/x.csv", "1"}, {"turns/a/y.csv", "2"}, {"z.csv", "3"}}).has_value());
  File("report/turns/a/y.csv", "edited");
  File("report/own.txt", "mine");
  ASSERT_TRUE(Write({{"z.csv", "4"}}).has_value());
  EXPECT_FALSE(std::filesystem::exists(Folder() + "/turns/a/x.csv"));
  EXPECT_EQ(Content("turns/a/y.csv"), "edited");
  EXPECT_EQ(Content("own.txt"), "mine");
  std::filesystem::remove(Folder() + "/turns/a/y.csv");
  ASSERT_TRUE(Write({{"turns/b/x.csv", "1"}}).has_value());
  ASSERT_TRUE(Write({{"z.csv", "4"}}).has_value());
  EXPECT_FALSE(std::filesystem::exists(Folder() + "/turns/b")) << "with its last file";
}

// As a run leaves it that is killed between two files: the list knows old and new content.
TEST_F(ReportFolderTest, GoesOnAfterARunThatWasBrokenOff) {
  ASSERT_TRUE(Write({{"a.csv", "old"}, {"b.csv", "old"}}).has_value());
  const std::string before = Content(kReportList);
  ASSERT_TRUE(Write({{"a.csv", "new"}, {"b.csv", "new"}}).has_value());
  File("report/b.csv", "old");
  File(std::string("report/") + kReportList, before + Content(kReportList));
  ASSERT_TRUE(Write({{"a.csv", "third"}, {"b.csv", "third"}}).has_value());
  EXPECT_EQ(Content("b.csv"), "third");
}

TEST_F(ReportFolderTest, AListThatLeadsElsewhereIsRefused) {
  std::filesystem::create_directories(Folder());
  const std::string hash(64, 'a');
  for (const std::string& line : {std::string("x"), hash + " a.csv", hash + "  ../a.csv",
                                  hash + "  /etc/passwd", hash + "  "}) {
    File(std::string("report/") + kReportList, hash + "  fine.csv\n" + line + "\n");
    const auto refused = Write({{"a.csv", "x"}});
    ASSERT_FALSE(refused.has_value()) << line;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(refused.error().where.ends_with("files.sha256:2")) << refused.error().where;
  }
}

}  // namespace
}  // namespace garrison
