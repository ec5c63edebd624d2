// The one table from errors to gRPC statuses.
#pragma once

#include <grpcpp/support/status.h>

#include "base/result.h"

namespace garrison {

grpc::StatusCode GrpcStatusCodeOf(Code code);

// The code with "where: message".
grpc::Status GrpcStatusOf(const Error& error);

}  // namespace garrison
