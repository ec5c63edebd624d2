// A gRPC method as the calls see it: bytes in, bytes out.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/request_context.h"

namespace garrison {

struct GrpcAnswer {
  grpc::ByteBuffer message;
  std::uint64_t tokens = 0;                                  // that a model read for it
  std::vector<std::pair<std::string, std::string>> headers;  // initial metadata of a unary answer
};

struct GrpcMethod {
  std::string name;  // "tei.v1.Embed/Embed"
  // `messages` is one message, or all of a client's stream; they are consumed. Any thread, blocks.
  std::function<Result<GrpcAnswer>(std::span<grpc::ByteBuffer> messages, const RequestContext&)>
      answer;
  // Answered at once, without waiting for a worker: must not block.
  bool quick = false;
};

}  // namespace garrison
