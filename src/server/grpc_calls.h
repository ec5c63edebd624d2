// The three shapes of a gRPC call. Each object owns itself from Start() until gRPC is done with it.
//
// gRPC's own threads only hand messages on; answers are computed by the runtime's workers. A client
// that cancels, or whose deadline passes, stops the work through RequestContext::stop.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "server/grpc_method.h"
#include "server/grpc_runtime.h"

namespace garrison {

// One message, one answer. `response` is written before the call is finished.
grpc::ServerUnaryReactor* StartUnaryCall(GrpcRuntime& runtime, const GrpcMethod& method,
                                         grpc::CallbackServerContext& context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer& response);

// An answer for each message, in their order. A few messages are read ahead and computed side by
// side; the first that fails ends the stream after the answers to those before it.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartStreamCall(
    GrpcRuntime& runtime, const GrpcMethod& method, grpc::CallbackServerContext& context);

// All messages of the client, then one answer.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartGatherCall(GrpcRuntime& runtime,
                                                           const GrpcMethod& method,
                                                           grpc::CallbackServerContext& context,
                                                           grpc::ByteBuffer& response);

}  // namespace garrison
