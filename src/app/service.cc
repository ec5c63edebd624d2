#include "app/service.h"

#include <sys/random.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/cpu.h"
#include "base/cpu_features.h"
#include "engine/models.h"
#include "gateway/gateway.h"
#include "guard/monitor.h"
#include "guard/projection.h"
#include "guard/sessions.h"
#include "net/http_server.h"
#include "server/api.h"
#include "server/grpc_server.h"
#include "server/metrics.h"

namespace garrison {
namespace {

// 128 random bits in hexadecimal: ids that nobody can guess.
std::string RandomId() {
  std::array<unsigned char, 16> bytes;
  CHECK(getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

HttpServerOptions ServerOptions(const Settings& settings, std::size_t threads) {
  const LimitSettings& limits = settings.limits;
  const auto ms = [](std::int64_t value) { return std::chrono::milliseconds(value); };
  HttpServerOptions options;
  options.bind = settings.server.bind;
  options.port = static_cast<std::uint16_t>(settings.server.port);
  options.tls_certificate = settings.server.tls_certificate;
  options.tls_key = settings.server.tls_key;
  options.workers = threads;
  options.queue = static_cast<std::size_t>(limits.queue);
  options.connections = static_cast<std::size_t>(limits.connections);
  options.connections_per_address = static_cast<std::size_t>(limits.connections_per_address);
  options.header_bytes = static_cast<std::uint32_t>(limits.header_bytes);
  options.body_bytes = static_cast<std::uint64_t>(limits.body_bytes);
  options.bytes_in_flight = static_cast<std::uint64_t>(limits.bytes_in_flight);
  options.header_time = ms(limits.header_ms);
  options.body_time = ms(limits.body_ms);
  options.idle_time = ms(limits.idle_ms);
  options.write_time = ms(limits.write_ms);
  options.request_time = ms(limits.request_ms);
  options.drain_time = ms(limits.drain_ms);
  return options;
}

GrpcServerOptions GrpcOptions(const Settings& settings, std::size_t threads) {
  const LimitSettings& limits = settings.limits;
  const auto ms = [](std::int64_t value) { return std::chrono::milliseconds(value); };
  GrpcServerOptions options;
  options.bind = settings.server.bind;
  options.port = static_cast<std::uint16_t>(settings.server.grpc_port);
  options.tls_certificate = settings.server.tls_certificate;
  options.tls_key = settings.server.tls_key;
  options.workers = threads;
  options.queue = static_cast<std::size_t>(limits.queue);
  options.calls = static_cast<std::size_t>(limits.connections);
  options.calls_per_client = static_cast<std::size_t>(limits.connections_per_address);
  options.message_bytes = static_cast<std::uint64_t>(limits.body_bytes);
  options.metadata_bytes = static_cast<std::size_t>(limits.header_bytes);
  options.bytes_in_flight = static_cast<std::uint64_t>(limits.bytes_in_flight);
  options.inputs_per_request = static_cast<std::size_t>(limits.inputs_per_request);
  options.input_bytes = static_cast<std::size_t>(limits.input_bytes);
  options.handshake_time = ms(limits.header_ms);
  options.idle_time = ms(limits.idle_ms);
  options.write_time = ms(limits.write_ms);
  options.request_time = ms(limits.request_ms);
  options.drain_time = ms(limits.drain_ms);
  return options;
}

class RunningService final : public Service {
 public:
  RunningService(const Settings& settings, std::unique_ptr<ModelCatalog> models,
                 std::shared_ptr<const Embedder> embedder, std::unique_ptr<GuardMonitor> monitor,
                 const Clock& clock, Logger& logger)
      : models_(std::move(models)),
        embedder_(std::move(embedder)),
        monitor_(std::move(monitor)),
        sessions_(settings.guard, settings.limits, clock, RandomId),
        gateway_(*models_, *monitor_, sessions_, settings, clock),
        api_(gateway_, metrics_, settings, clock, logger, RandomId) {}

  Result<> Listen(const HttpServerOptions& options, Logger& logger) {
    ASSIGN_OR_RETURN(server_, HttpServer::Start(options, api_, logger));
    return {};
  }

  Result<> ListenForGrpc(const GrpcServerOptions& options, const Clock& clock, Logger& logger) {
    ASSIGN_OR_RETURN(grpc_,
                     GrpcServer::Start(options, gateway_, metrics_, clock, logger, RandomId));
    return {};
  }

  void AddGauges() {
    const auto add = [this](const char* name, const char* help, auto read) {
      metrics_.AddGauge(name, help, [read] { return static_cast<double>(read()); });
    };
    add("garrison_guard_conversations", "Conversations held.", [this] { return sessions_.size(); });
    add("garrison_guard_conversations_evicted",
        "Conversations dropped to make room, since the start.",
        [this] { return sessions_.evicted(); });
    add("garrison_guard_conversations_expired",
        "Conversations unused for their time to live, since the start.",
        [this] { return sessions_.expired(); });
    add("garrison_connections_open", "Open connections.",
        [this] { return Stats().connections_open; });
    add("garrison_connections_refused",
        "Connections refused by limits.connections_per_address, since the start.",
        [this] { return Stats().connections_refused; });
    add("te_queue_size", "Requests waiting for a worker.",
        [this] { return Stats().requests_queued; });
    add("garrison_clients_gone", "Clients that left before their answer, since the start.",
        [this] { return Stats().clients_gone; });
    add("garrison_grpc_calls_open", "Open gRPC calls.",
        [this] { return grpc_ == nullptr ? 0 : grpc_->open_calls(); });
  }

  std::uint16_t port() const override { return server_->port(); }

  std::optional<std::uint16_t> grpc_port() const override {
    return grpc_ == nullptr ? std::nullopt : std::optional(grpc_->port());
  }

  // Both drain at once: neither takes from the other's time.
  std::size_t Stop() override {
    api_.StopBeingReady();
    std::future<std::size_t> grpc;
    if (grpc_ != nullptr) {
      grpc = std::async(std::launch::async, [this] { return grpc_->Shutdown(); });
    }
    const std::size_t cut = server_->Shutdown();
    return cut + (grpc.valid() ? grpc.get() : 0);
  }

  void HurryStop() override {
    server_->HurryShutdown();
    if (grpc_ != nullptr) grpc_->HurryShutdown();
  }

 private:
  HttpServerStats Stats() const {
    // A scrape may come while Start() still returns.
    return server_ == nullptr ? HttpServerStats{} : server_->stats();
  }

  const std::unique_ptr<ModelCatalog> models_;
  const std::shared_ptr<const Embedder> embedder_;
  const std::unique_ptr<GuardMonitor> monitor_;
  GuardSessions sessions_;
  Metrics metrics_;
  const Gateway gateway_;
  Api api_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<GrpcServer> grpc_;
};

}  // namespace

Result<std::unique_ptr<Service>> Service::Start(const Settings& settings, const Clock& clock,
                                                Logger& logger) {
  const CpuBudget cpu = ReadCpuBudget();
  const std::size_t threads =
      settings.engine.threads > 0 ? static_cast<std::size_t>(settings.engine.threads) : cpu.threads;
  const char* forced =
      std::getenv("GARRISON_ISA");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  ASSIGN_OR_RETURN(const Isa isa, ChooseIsa(forced == nullptr ? "" : forced, DetectIsa()));

  ASSIGN_OR_RETURN(std::unique_ptr<ModelCatalog> models,
                   OpenLocalModels(settings.engine, UnnamedModel::kFirstAble));
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> embedder, models->FindEmbedder(""));
  ASSIGN_OR_RETURN(std::optional<Projection> projection,
                   LoadProjection(settings.guard.projection,
                                  static_cast<std::uint64_t>(settings.limits.file_bytes)));
  ASSIGN_OR_RETURN(std::unique_ptr<GuardMonitor> monitor,
                   GuardMonitor::Create(*embedder, settings.guard, std::move(projection)));
  for (const ModelStatus& model : models->List()) {
    for (const std::string& warning : model.info.warnings) logger.Warning("{}", warning);
  }
  logger.Info("model {} ({} dimensions), guard space {}, {} worker threads, {}",
              embedder->info().id, embedder->info().dimension, monitor->provenance().space, threads,
              IsaName(isa));

  auto service = std::make_unique<RunningService>(settings, std::move(models), std::move(embedder),
                                                  std::move(monitor), clock, logger);
  // gRPC first: a port that is written to a file, or answers, belongs to a whole service.
  if (settings.server.grpc_port >= 0) {
    RETURN_IF_ERROR(service->ListenForGrpc(GrpcOptions(settings, threads), clock, logger));
  }
  service->AddGauges();
  RETURN_IF_ERROR(service->Listen(ServerOptions(settings, threads), logger));
  return std::unique_ptr<Service>(std::move(service));
}

}  // namespace garrison
