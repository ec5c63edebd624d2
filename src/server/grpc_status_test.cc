#include "server/grpc_status.h"

#include <gtest/gtest.h>

#include <set>

namespace garrison {
namespace {

// Our codes are gRPC's, with gRPC's numbers.
TEST(GrpcStatus, EveryCodeIsGrpcsOwn) {
  std::set<grpc::StatusCode> seen;
  for (const Code code : kAllCodes) {
    const grpc::StatusCode status = GrpcStatusCodeOf(code);
    EXPECT_EQ(static_cast<int>(status), static_cast<int>(code)) << CodeName(code);
    EXPECT_NE(status, grpc::StatusCode::OK);
    seen.insert(status);
  }
  EXPECT_EQ(seen.size(), 16u);
}

TEST(GrpcStatus, TheMessageNamesThePlace) {
  const grpc::Status placed =
      GrpcStatusOf(Error{Code::kInvalidArgument, "expected text", "inputs", std::nullopt});
  EXPECT_EQ(placed.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(placed.error_message(), "inputs: expected text");
  EXPECT_EQ(GrpcStatusOf(Error{Code::kInternal, "broken", "", std::nullopt}).error_message(),
            "broken");
}

}  // namespace
}  // namespace garrison
