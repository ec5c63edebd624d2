// The services of proto/tei/v1/tei.proto, method by method.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <memory>
#include <string>
#include <vector>

#include "server/grpc_runtime.h"
#include "server/grpc_tei.h"

namespace garrison {

struct GrpcService {
  std::string name;  // "tei.v1.Embed"
  std::unique_ptr<grpc::Service> service;
};

// All of them. `tei` and `runtime` must outlive them.
std::vector<GrpcService> MakeTeiServices(const TeiGrpc& tei, GrpcRuntime& runtime);

}  // namespace garrison
