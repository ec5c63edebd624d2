#include "guard/word_features.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <string>

namespace garrison {
namespace {

TEST(WordFeatures, AreKnown) {
  // Part of every guard file: a change of these numbers makes old files say something else.
  const auto features = WordFeatures("Hello, world");
  ASSERT_EQ(features.size(), 3u);
  const std::vector<std::uint32_t> indices = {features[0].index, features[1].index,
                                              features[2].index};
  EXPECT_EQ(indices, (std::vector<std::uint32_t>{11733, 11955, 14174}));
  for (const SparseValue& feature : features) EXPECT_FLOAT_EQ(feature.value, 1 / std::sqrt(3.0F));
}

TEST(WordFeatures, DoNotSeeCaseDigitsOrPunctuation) {
  EXPECT_EQ(WordFeatures("Pay 100 now!"), WordFeatures("pay 999, NOW"));
  EXPECT_NE(WordFeatures("pay now"), WordFeatures("now pay"));
  EXPECT_TRUE(WordFeatures(" ... ").empty());
}

RC_GTEST_PROP(WordFeatures, AreSortedBoundedAndOfLengthOne, (const std::string& text)) {
  double squares = 0;
  std::int64_t before = -1;
  for (const SparseValue& feature : WordFeatures(text)) {
    RC_ASSERT(static_cast<std::int64_t>(feature.index) > before);
    before = feature.index;
    squares += static_cast<double>(feature.value) * feature.value;
  }
  RC_ASSERT(before < static_cast<std::int64_t>(kWordBuckets));
  RC_ASSERT(before == -1 || std::abs(squares - 1) < 1e-4);
}

}  // namespace
}  // namespace garrison
