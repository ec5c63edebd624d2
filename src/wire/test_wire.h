// Helpers of the tests of wire/.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "core/json.h"

namespace garrison {

inline nlohmann::json Parsed(const std::string& text) { return ParseJson(text, 64).value(); }

// A body that is refused, and the field that is said to be at fault.
struct WrongBody {
  std::string body;
  std::string where;
  Code code = Code::kInvalidArgument;
};

template <typename Decode>
void ExpectRefused(Decode decode, const std::vector<WrongBody>& bodies) {
  for (const WrongBody& wrong : bodies) {
    const auto call = decode(Parsed(wrong.body));
    ASSERT_FALSE(call) << wrong.body;
    EXPECT_EQ(call.error().where, wrong.where) << wrong.body << ": " << call.error().message;
    EXPECT_EQ(call.error().code, wrong.code) << wrong.body;
  }
}

}  // namespace garrison
