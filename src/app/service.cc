#include "app/service.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "app/served_models.h"
#include "base/cpu.h"
#include "base/cpu_features.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "engine/models.h"
#include "gateway/chat_gateway.h"
#include "gateway/gateway.h"
#include "gateway/keys.h"
#include "guard/guard_file.h"
#include "guard/measured.h"
#include "guard/memory_conversations.h"
#include "guard/monitor.h"
#include "guard/projection.h"
#include "guard/sessions.h"
#include "net/http_server.h"
#include "server/access.h"
#include "server/access_log.h"
#include "server/api.h"
#include "server/grpc_server.h"
#include "server/metrics.h"
#include "server/webhook.h"
#include "storage/database_conversations.h"

namespace garrison {
namespace {

constexpr std::uint64_t kKeysFileBytesMax = 16 * 1024 * 1024;
constexpr std::size_t kSecretMin = 16;

// Ids that nobody can guess.
std::string RandomId() { return RandomHex(16); }

// Enough that the sequences of several requests go through a model together, and that their texts
// are read and written meanwhile.
std::size_t WorkersFor(const Settings& settings, std::size_t threads) {
  if (settings.server.workers > 0) return static_cast<std::size_t>(settings.server.workers);
  return std::clamp<std::size_t>(16 * threads, 16, 64);
}

// The rest is for what is answered in milliseconds.
std::size_t ConversationsFor(const Settings& settings) {
  const std::size_t threads = settings.engine.threads > 0
                                  ? static_cast<std::size_t>(settings.engine.threads)
                                  : ReadCpuBudget().threads;
  const std::size_t workers = WorkersFor(settings, threads);
  return workers - workers / 4;
}

// Every connection is an open file; the usual soft limit is 1024.
void RaiseFileLimit(std::int64_t connections, Logger& logger) {
  constexpr rlim_t kOthers = 512;  // models, logs, gRPC
  const rlim_t wanted = static_cast<rlim_t>(connections) + kOthers;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  const rlimit all{wanted, std::max(limit.rlim_max, wanted)};
  if (setrlimit(RLIMIT_NOFILE, &all) == 0) return;  // a privileged user may
  const rlimit most{std::min(limit.rlim_max, wanted), limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &most) == 0) limit = most;
  if (limit.rlim_cur >= wanted) return;
  logger.Warning(
      "limits.connections is {}, but the system allows {} open files: connections beyond "
      "wait to be accepted; raise LimitNOFILE or ulimit -n",
      connections, limit.rlim_cur);
}

// Of the file and the two settings.
Result<KeyRing> LoadKeys(const ServerSettings& server) {
  KeyRing ring;
  if (!server.keys_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadTextFile(server.keys_file, kKeysFileBytesMax));
    ASSIGN_OR_RETURN(ring, KeyRing::Parse(text, server.keys_file));
    if (ring.empty()) {
      return FailAt(server.keys_file, Code::kInvalidArgument,
                    "expected at least one key; `garrison keys new` makes one");
    }
  }
  const auto add = [&](const char* name, const std::string& secret,
                       std::vector<Scope> scopes) -> Result<> {
    if (secret.empty()) return {};
    if (secret.size() < kSecretMin) {
      return FailAt(fmt::format("server.{}", name), Code::kInvalidArgument,
                    "expected at least {} characters, so that nobody guesses it", kSecretMin);
    }
    Result<> added = ring.Add({.name = name, .sha256 = Sha256Hex(secret), .scopes = scopes});
    if (!added) return tl::unexpected(At(server.keys_file, std::move(added).error()));
    return {};
  };
  RETURN_IF_ERROR(add("api_key", server.api_key, {Scope::kEmbed, Scope::kChat}));
  RETURN_IF_ERROR(add("admin_key", server.admin_key, {Scope::kAdmin}));
  return ring;
}

std::unique_ptr<ConversationStore> MakeConversations(const Settings& settings, const Clock& clock,
                                                     Logger& logger) {
  const auto most = static_cast<std::size_t>(settings.guard.conversations);
  const std::string place = GuardStorePlace(settings);
  if (place.empty()) return std::make_unique<MemoryConversations>(most, clock);
  return std::make_unique<DatabaseConversations>(
      DatabaseConversationsOptions{.place = place, .conversations = most}, clock, logger);
}

// Null without a calibration to compare with.
std::unique_ptr<GuardDrift> MakeDrift(const MeasuredMonitor* measured, GuardAlertSink* alerts,
                                      const Clock& clock, Logger& logger) {
  if (measured == nullptr) return nullptr;
  return std::make_unique<GuardDrift>(
      measured->file().model(), clock, [=, &clock, &logger](const DriftReport& week) {
        logger.Warning(
            "the guard's calibration is stale: the evidence of last week's {} turns is {:.2f} away "
            "from it (p {:.1e}); its rates of false alarms do not hold, train it with data of your "
            "own",
            week.turns, week.statistic, week.p);
        if (alerts == nullptr) return;
        GuardAlert alert;
        alert.type = "guard.stale";
        alert.at = clock.WallNow();
        alert.source = "drift";
        alert.status = DriftStatusName(week.status);
        alert.evidence = week.statistic;
        alert.guard = measured->file().hash();
        alerts->Notify(std::move(alert));
      });
}

std::chrono::milliseconds Ms(std::int64_t value) { return std::chrono::milliseconds(value); }

// What both front ends have: HttpServerOptions, GrpcServerOptions.
template <typename Options>
Options CommonOptions(const Settings& settings, std::size_t threads) {
  const LimitSettings& limits = settings.limits;
  Options options;
  options.bind = settings.server.bind;
  options.tls_certificate = settings.server.tls_certificate;
  options.tls_key = settings.server.tls_key;
  options.tls_client_ca = settings.server.tls_client_ca;
  options.workers = WorkersFor(settings, threads);
  options.queue = static_cast<std::size_t>(limits.queue);
  options.bytes_in_flight = static_cast<std::uint64_t>(limits.bytes_in_flight);
  options.idle_time = Ms(limits.idle_ms);
  options.write_time = Ms(limits.write_ms);
  options.request_time = Ms(limits.request_ms);
  options.drain_time = Ms(limits.drain_ms);
  return options;
}

HttpServerOptions HttpOptions(const Settings& settings, std::size_t threads) {
  const LimitSettings& limits = settings.limits;
  auto options = CommonOptions<HttpServerOptions>(settings, threads);
  options.port = static_cast<std::uint16_t>(settings.server.port);
  options.connections = static_cast<std::size_t>(limits.connections);
  options.connections_per_address = static_cast<std::size_t>(limits.connections_per_address);
  options.header_bytes = static_cast<std::uint32_t>(limits.header_bytes);
  options.body_bytes = static_cast<std::uint64_t>(limits.body_bytes);
  options.header_time = Ms(limits.header_ms);
  options.body_time = Ms(limits.body_ms);
  return options;
}

GrpcServerOptions GrpcOptions(const Settings& settings, std::size_t threads) {
  const LimitSettings& limits = settings.limits;
  auto options = CommonOptions<GrpcServerOptions>(settings, threads);
  options.port = static_cast<std::uint16_t>(settings.server.grpc_port);
  options.threads = threads;
  options.calls = static_cast<std::size_t>(limits.connections);
  options.calls_per_client = static_cast<std::size_t>(limits.connections_per_address);
  options.message_bytes = static_cast<std::uint64_t>(limits.body_bytes);
  options.metadata_bytes = static_cast<std::size_t>(limits.header_bytes);
  options.inputs_per_request = static_cast<std::size_t>(limits.inputs_per_request);
  options.input_bytes = static_cast<std::size_t>(limits.input_bytes);
  options.handshake_time = Ms(limits.header_ms);
  return options;
}

class RunningService final : public Service {
 public:
  RunningService(const Settings& settings, std::unique_ptr<Metrics> metrics,
                 std::unique_ptr<ServedModels> models, std::shared_ptr<const Embedder> embedder,
                 std::unique_ptr<GuardMonitor> monitor, std::unique_ptr<MeasuredMonitor> measured,
                 std::unique_ptr<GuardWebhook> webhook, KeyRing keys,
                 std::unique_ptr<AccessLog> access_log, std::unique_ptr<Tracer> tracer,
                 const Clock& clock, Logger& logger)
      : metrics_(std::move(metrics)),
        models_(std::move(models)),
        embedder_(std::move(embedder)),
        monitor_(std::move(monitor)),
        measured_(std::move(measured)),
        webhook_(std::move(webhook)),
        drift_(MakeDrift(measured_.get(), webhook_.get(), clock, logger)),
        chat_guard_(measured_.get(), settings.guard, clock, webhook_.get(), drift_.get()),
        conversations_(MakeConversations(settings, clock, logger)),
        sessions_(settings.guard, settings.limits, monitor_->provenance(), *conversations_, clock,
                  RandomId, measured_.get()),
        gateway_(models_->catalog(), *monitor_, sessions_, settings, clock,
                 {.measured = measured_.get(), .drift = drift_.get(), .alerts = webhook_.get()}),
        chat_(models_->chat(), settings.limits, clock, &chat_guard_),
        access_(settings.server, std::make_shared<const KeyRing>(std::move(keys)), clock),
        access_log_(std::move(access_log)),
        tracer_(std::move(tracer)),
        api_(gateway_, chat_, *metrics_, access_, access_log_.get(), *tracer_, settings, clock,
             logger, RandomId, ConversationsFor(settings), models_->budget()) {}

  Result<> Listen(const HttpServerOptions& options, Logger& logger) {
    ASSIGN_OR_RETURN(server_, HttpServer::Start(options, api_, logger));
    return {};
  }

  Result<> ListenForGrpc(const GrpcServerOptions& options, const Clock& clock, Logger& logger) {
    ASSIGN_OR_RETURN(grpc_, GrpcServer::Start(options, gateway_, *metrics_, access_, *tracer_,
                                              clock, logger, RandomId));
    return {};
  }

  void AddGauges() {
    const auto add = [this](const char* name, const char* help, auto read) {
      metrics_->AddGauge(name, help, [read] { return static_cast<double>(read()); });
    };
    add("garrison_guard_conversations",
        "Conversations held; in a database, when they were last counted.",
        [this] { return conversations_->stats().conversations; });
    add("garrison_guard_conversations_evicted",
        "Conversations dropped to make room, since the start.",
        [this] { return conversations_->stats().evicted; });
    if (drift_ != nullptr) {
      add("garrison_guard_drift_statistic",
          "Distance of live evidence from the calibration's (Kolmogorov-Smirnov).",
          [this] { return drift_->Report().statistic; });
      add("garrison_guard_drift_stale",
          "1: live evidence is not the calibration's any more, train the guard again.",
          [this] { return drift_->Report().status == DriftStatus::kStale ? 1 : 0; });
    }
    if (webhook_ != nullptr) {
      add("garrison_guard_alerts_sent", "Alerts that the webhook took, since the start.",
          [this] { return webhook_->sent(); });
      add("garrison_guard_alerts_lost", "Alerts that it did not take, since the start.",
          [this] { return webhook_->lost(); });
    }
    add("garrison_guard_conversations_expired",
        "Conversations unused for their time to live, since the start.",
        [this] { return conversations_->stats().expired; });
    add("garrison_guard_store_answers",
        "Whether what keeps the conversations answers: 1, or 0 while it does not.",
        [this] { return conversations_->stats().answers ? 1 : 0; });
    const auto count = [this](const char* name, const char* help, auto read) {
      metrics_->AddCounter(name, help, [read] { return static_cast<double>(read()); });
    };
    count("garrison_guard_store_failures_total", "Failures of the conversations' database.",
          [this] { return conversations_->stats().failures; });
    count("garrison_guard_conflicts_total",
          "Turns taken again because another request changed the conversation first.",
          [this] { return sessions_.conflicts(); });
    count("garrison_guard_turns_repeated_total",
          "Turns answered again under their idempotency key.",
          [this] { return sessions_.repeats(); });
    add("garrison_connections_open", "Open connections.",
        [this] { return Stats().connections_open; });
    add("garrison_connections_refused",
        "Connections refused by limits.connections_per_address, since the start.",
        [this] { return Stats().connections_refused; });
    add("te_queue_size", "Requests waiting for a worker.",
        [this] { return Stats().requests_queued; });
    add("garrison_clients_gone", "Clients that left before their answer, since the start.",
        [this] { return Stats().clients_gone; });
    add("garrison_access_log_lines_lost", "Lines that could not be written, since the start.",
        [this] { return access_log_ == nullptr ? 0 : access_log_->lost(); });
    add("garrison_trace_spans_lost", "Spans that no collector took, since the start.",
        [this] { return tracer_->lost(); });
    add("garrison_grpc_calls_open", "Open gRPC calls.",
        [this] { return grpc_ == nullptr ? 0 : grpc_->open_calls(); });
  }

  std::uint16_t port() const override { return server_->port(); }

  std::optional<std::uint16_t> grpc_port() const override {
    return grpc_ == nullptr ? std::nullopt : std::optional(grpc_->port());
  }

  Result<> Reload(const Settings& settings) override {
    ASSIGN_OR_RETURN(KeyRing keys, LoadKeys(settings.server));
    if (keys.empty() != access_.is_open()) {
      return Fail(
          Code::kFailedPrecondition,
          "whether there are API keys at all is decided at the start; the keys stay as they "
          "were");
    }
    if (access_log_ != nullptr) RETURN_IF_ERROR(access_log_->Reopen());
    if (!settings.server.tls_key.empty()) RETURN_IF_ERROR(server_->ReloadTls());
    access_.SetKeys(std::make_shared<const KeyRing>(std::move(keys)));
    return {};
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

  const std::unique_ptr<Metrics> metrics_;
  const std::unique_ptr<ServedModels> models_;
  const std::shared_ptr<const Embedder> embedder_;
  const std::unique_ptr<GuardMonitor> monitor_;
  const std::unique_ptr<MeasuredMonitor> measured_;  // null in compatible mode
  const std::unique_ptr<GuardWebhook> webhook_;      // null where nobody wants to be told
  const std::unique_ptr<GuardDrift> drift_;          // null in compatible mode; tells webhook_
  const ChatGuard chat_guard_;
  const std::unique_ptr<ConversationStore> conversations_;
  GuardSessions sessions_;
  const Gateway gateway_;
  const ChatGateway chat_;
  Access access_;
  const std::unique_ptr<AccessLog> access_log_;
  const std::unique_ptr<Tracer> tracer_;
  Api api_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<GrpcServer> grpc_;
};

}  // namespace

Result<std::unique_ptr<Service>> Service::Start(const Settings& settings, const Clock& clock,
                                                Logger& logger) {
  RETURN_IF_ERROR(CheckServing(settings.server));
  ASSIGN_OR_RETURN(KeyRing keys, LoadKeys(settings.server));
  std::unique_ptr<AccessLog> access_log;
  if (!settings.log.access_file.empty()) {
    ASSIGN_OR_RETURN(access_log, AccessLog::Open(settings.log.access_file));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Tracer> tracer, Tracer::Create(settings.tracing, logger));
  RaiseFileLimit(settings.limits.connections, logger);
  const CpuBudget cpu = ReadCpuBudget();
  const std::size_t threads =
      settings.engine.threads > 0 ? static_cast<std::size_t>(settings.engine.threads) : cpu.threads;
  const char* forced =
      std::getenv("GARRISON_ISA");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  ASSIGN_OR_RETURN(const Isa isa, ChooseIsa(forced == nullptr ? "" : forced, DetectIsa()));

  auto metrics = std::make_unique<Metrics>();
  ASSIGN_OR_RETURN(
      std::unique_ptr<ModelCatalog> local,
      OpenLocalModels(settings.engine, UnnamedModel::kFirstAble,
                      [metrics = metrics.get()](const std::string& model, const PassCounts& since) {
                        metrics->CountPass(model, since);
                      }));
  // The guard's own: no text leaves the machine for it, whoever embeds for clients.
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> embedder, local->FindEmbedder(""));
  ASSIGN_OR_RETURN(std::optional<Projection> projection,
                   LoadProjection(settings.guard.projection,
                                  static_cast<std::uint64_t>(settings.limits.file_bytes)));
  ASSIGN_OR_RETURN(std::unique_ptr<GuardMonitor> monitor,
                   GuardMonitor::Create(*embedder, settings.guard, std::move(projection)));
  // A guard that somebody believes to be on must not be off.
  if (settings.guard.chat != "off" && settings.guard.mode != "measured") {
    return FailAt("guard.chat", Code::kFailedPrecondition,
                  "expected guard.mode \"measured\" with guard.chat \"{}\", got \"{}\"",
                  settings.guard.chat, settings.guard.mode);
  }
  std::unique_ptr<MeasuredMonitor> measured;
  if (settings.guard.mode == "measured") {
    ASSIGN_OR_RETURN(GuardFile file, OpenGuardFile(settings.guard.file));
    ASSIGN_OR_RETURN(measured,
                     MeasuredMonitor::Create(*embedder, std::move(file), settings.guard.prior));
  }
  std::unique_ptr<GuardWebhook> webhook;
  if (!settings.guard.webhook_url.empty()) {
    GuardWebhook::Options options;
    options.url = settings.guard.webhook_url;
    options.secret = settings.guard.webhook_secret;
    ASSIGN_OR_RETURN(
        webhook, GuardWebhook::Create(std::move(options), settings.guard.webhook_ca_file, logger));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<ServedModels> models,
                   ServedModels::Open(settings, std::move(local), *metrics, clock, logger));
  for (const ModelStatus& model : models->catalog().List()) {
    for (const std::string& warning : model.info.warnings) logger.Warning("{}", warning);
  }
  logger.Info("model {} ({} dimensions), guard space {}, {} worker threads, {}",
              embedder->info().id, embedder->info().dimension, monitor->provenance().space, threads,
              IsaName(isa));

  auto service = std::make_unique<RunningService>(
      settings, std::move(metrics), std::move(models), std::move(embedder), std::move(monitor),
      std::move(measured), std::move(webhook), std::move(keys), std::move(access_log),
      std::move(tracer), clock, logger);
  // gRPC first: a port that is written to a file, or answers, belongs to a whole service.
  if (settings.server.grpc_port >= 0) {
    RETURN_IF_ERROR(service->ListenForGrpc(GrpcOptions(settings, threads), clock, logger));
  }
  service->AddGauges();
  RETURN_IF_ERROR(service->Listen(HttpOptions(settings, threads), logger));
  return std::unique_ptr<Service>(std::move(service));
}

}  // namespace garrison
