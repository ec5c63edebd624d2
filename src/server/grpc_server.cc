#include "server/grpc_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/ip_address.h"
#include "base/mapped_file.h"
#include "server/grpc_runtime.h"
#include "server/grpc_services.h"
#include "server/grpc_tei.h"

namespace garrison {
namespace {

constexpr std::uint64_t kTlsFileBytesMax = 1 << 20;
// Reflection is the one synchronous service; calls over its threads are RESOURCE_EXHAUSTED.
constexpr int kSyncThreads = 8;
// Connections themselves need memory too.
constexpr std::uint64_t kConnectionBytes = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kDeadPeerTime{20'000};

GrpcLimits LimitsOf(const GrpcServerOptions& options) {
  return {.workers = options.workers,
          .queue = options.queue,
          .calls = options.calls,
          .bytes_in_flight = options.bytes_in_flight,
          .messages_per_request = options.inputs_per_request,
          .request_time = options.request_time,
          .idle_time = options.idle_time,
          .write_time = options.write_time};
}

TeiLimits TeiLimitsOf(const GrpcServerOptions& options) {
  return {.concurrent_requests = options.queue,
          .inputs_per_request = options.inputs_per_request,
          .input_bytes = options.input_bytes,
          .threads = options.threads};
}

Result<std::string> AddressOf(const std::string& bind, std::uint16_t port) {
  if (!IsIpAddress(bind)) {
    return FailAt("server.bind", Code::kInvalidArgument, "expected an IP address, got \"{}\"",
                  bind);
  }
  const bool v6 = bind.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", bind, port) : fmt::format("{}:{}", bind, port);
}

Result<std::shared_ptr<grpc::ServerCredentials>> CredentialsOf(const GrpcServerOptions& options) {
  if (options.tls_certificate.empty() && options.tls_key.empty()) {
    return grpc::InsecureServerCredentials();
  }
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  ASSIGN_OR_RETURN(pair.cert_chain, ReadTextFile(options.tls_certificate, kTlsFileBytesMax));
  ASSIGN_OR_RETURN(pair.private_key, ReadTextFile(options.tls_key, kTlsFileBytesMax));
  const bool asks = !options.tls_client_ca.empty();
  grpc::SslServerCredentialsOptions tls(
      asks ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
           : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  tls.pem_key_cert_pairs.push_back(std::move(pair));
  if (asks) {
    ASSIGN_OR_RETURN(tls.pem_root_certs, ReadTextFile(options.tls_client_ca, kTlsFileBytesMax));
  }
  return grpc::SslServerCredentials(tls);
}

// The libraries would write to stderr what clients can provoke; what matters our logger says.
void SilenceLibraries() {
  gpr_set_log_function([](gpr_log_func_args*) {});
  google::protobuf::SetLogHandler(nullptr);
}

void SetLimits(const GrpcServerOptions& options, grpc::ServerBuilder& builder) {
  const auto ms = [](std::chrono::milliseconds time) { return static_cast<int>(time.count()); };
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.message_bytes));
  builder.SetMaxSendMessageSize(-1);
  grpc::ResourceQuota quota("garrison");
  quota.Resize(options.bytes_in_flight + kConnectionBytes);
  quota.SetMaxThreads(kSyncThreads);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             static_cast<int>(options.calls_per_client));
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(options.metadata_bytes));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, ms(options.handshake_time));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, ms(options.idle_time));
  // A client that vanished without a word frees what its calls hold.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, ms(options.idle_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms(kDeadPeerTime));
  // Otherwise a second process would share the port in silence.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A small compressed message may be a very large one.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
}

class Server final : public GrpcServer {
 public:
  Server(const GrpcServerOptions& options, const Gateway& gateway, Metrics& metrics, Access& access,
         Tracer& tracer, const Clock& clock, Logger& logger, std::function<std::string()> new_id)
      : options_(options),
        gateway_(gateway),
        tei_(gateway, metrics, clock, TeiLimitsOf(options)),
        runtime_(LimitsOf(options), metrics, access, tracer, clock, logger, std::move(new_id)),
        services_(MakeTeiServices(tei_, runtime_)) {}

  ~Server() override {
    if (server_ != nullptr) Shutdown();
  }

  Result<> Listen();
  std::uint16_t port() const override { return port_; }
  std::size_t open_calls() const override { return runtime_.open(); }
  std::size_t Shutdown() override;
  void HurryShutdown() override { runtime_.Hurry(); }

 private:
  void PublishHealth();

  const GrpcServerOptions options_;
  const Gateway& gateway_;
  const TeiGrpc tei_;
  GrpcRuntime runtime_;
  const std::vector<GrpcService> services_;
  // Ends before what its calls use.
  std::unique_ptr<grpc::Server> server_;
  std::uint16_t port_ = 0;
};

Result<> Server::Listen() {
  ASSIGN_OR_RETURN(const std::string address, AddressOf(options_.bind, options_.port));
  ASSIGN_OR_RETURN(const auto credentials, CredentialsOf(options_));
  SilenceLibraries();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(options_, builder);
  int port = 0;
  builder.AddListeningPort(address, credentials, &port);
  for (const GrpcService& service : services_) builder.RegisterService(service.service.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    server_ = nullptr;
    return Fail(Code::kFailedPrecondition,
                "cannot listen for gRPC on {}: the port is taken or not allowed{}", address,
                options_.tls_key.empty() ? "" : ", or the TLS files do not fit together");
  }
  port_ = static_cast<std::uint16_t>(port);
  PublishHealth();
  return {};
}

// A service that no model can serve is NOT_SERVING, as with text-embeddings-inference.
void Server::PublishHealth() {
  const std::vector<ModelStatus> models = gateway_.Models();
  const auto any = [&models](bool ModelStatus::* ability) {
    return std::any_of(models.begin(), models.end(),
                       [ability](const ModelStatus& model) { return model.*ability; });
  };
  const bool reranks = any(&ModelStatus::reranks);
  const bool classifies = any(&ModelStatus::classifies);
  grpc::HealthCheckServiceInterface& health = *server_->GetHealthCheckService();
  for (const GrpcService& service : services_) {
    const bool serving = service.name == "tei.v1.Embed"     ? any(&ModelStatus::embeds)
                         : service.name == "tei.v1.Rerank"  ? reranks
                         : service.name == "tei.v1.Predict" ? classifies || reranks
                                                            : true;
    health.SetServingStatus(service.name, serving);
  }
}

std::size_t Server::Shutdown() {
  server_->GetHealthCheckService()->Shutdown();
  runtime_.StartDraining();
  std::size_t cut = 0;
  if (!runtime_.WaitUntilIdle(std::chrono::steady_clock::now() + options_.drain_time)) {
    cut = runtime_.open();
  }
  // Cancels what is left, which stops the work; returns when gRPC has let go of every call.
  server_->Shutdown(std::chrono::system_clock::now());
  runtime_.StopWorkers();
  server_ = nullptr;
  return cut;
}

}  // namespace

Result<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                      const Gateway& gateway, Metrics& metrics,
                                                      Access& access, Tracer& tracer,
                                                      const Clock& clock, Logger& logger,
                                                      std::function<std::string()> new_id) {
  auto server = std::make_unique<Server>(options, gateway, metrics, access, tracer, clock, logger,
                                         std::move(new_id));
  RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<GrpcServer>(std::move(server));
}

}  // namespace garrison
