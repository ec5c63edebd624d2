#include "cli/bulk_state.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TEST(BulkState, ComesBack) {
  BulkState state;
  state.run = {{"dimensions", 3}, {"model", "m"}};
  state.lines = 5;
  state.inputs = 4;
  state.rows = 3;
  state.bytes = 200;
  state.counts = {2, 1, 50};
  const Result<BulkState> back = ParseState(FormatState(state));
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(FormatState(*back), FormatState(state));
  EXPECT_EQ(back->counts.truncated, 2u);
  EXPECT_EQ(back->counts.error_bytes, 50u);
}

TEST(BulkState, DamageIsDataLoss) {
  const std::string good = FormatState({});
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), good.substr(0, good.size() / 2),
        std::string("{\"version\":2}"), std::string("{\"version\":1,\"run\":{}}"),
        std::string("{\"version\":1,\"run\":[],\"lines\":-1}")}) {
    EXPECT_EQ(ParseState(text).error().code, Code::kDataLoss) << text;
  }
}

TEST(BulkState, AnotherRunIsRefusedByName) {
  const nlohmann::ordered_json before = {{"model", "m"}, {"revision", "1"}};
  EXPECT_TRUE(CheckSameRun(before, before));
  const auto changed = CheckSameRun(before, {{"model", "m"}, {"revision", "2"}});
  EXPECT_EQ(changed.error().code, Code::kFailedPrecondition);
  EXPECT_NE(changed.error().message.find("revision \"1\""), std::string::npos);
}

}  // namespace
}  // namespace garrison
