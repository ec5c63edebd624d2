#include "server/api.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "base/cpu.h"
#include "core/json.h"
#include "core/money.h"
#include "server/dialect.h"

namespace garrison {
namespace {

constexpr std::size_t kRequestIdMax = 128;
constexpr std::size_t kExcerptMax = 100;

// What a client sent, as an error may repeat it.
std::string_view Excerpt(std::string_view text) { return text.substr(0, kExcerptMax); }

// An id from outside goes into logs and headers: only what cannot break either is kept.
bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= kRequestIdMax &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string Milliseconds(std::chrono::nanoseconds time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

// In milliseconds.
double Fractional(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e6; }

std::size_t SumOf(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

// Counts itself for as long as it lives.
class CountedIn {
 public:
  explicit CountedIn(std::atomic<std::size_t>& count) : count_(count), now_(++count) {}
  ~CountedIn() { --count_; }
  CountedIn(const CountedIn&) = delete;
  CountedIn& operator=(const CountedIn&) = delete;

  std::size_t now() const { return now_; }

 private:
  std::atomic<std::size_t>& count_;
  const std::size_t now_;
};

// What a browser asks before it sends a page's request to another origin.
bool IsPreflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && !request.header("Origin").empty() &&
         !request.header("Access-Control-Request-Method").empty();
}

Result<std::optional<Priority>> ParsePriority(std::string_view header) {
  if (header.empty()) return std::optional<Priority>();
  if (header == "interactive") return std::optional(Priority::kInteractive);
  if (header == "bulk") return std::optional(Priority::kBulk);
  return FailAt("X-Priority", Code::kInvalidArgument, "expected interactive or bulk, got \"{}\"",
                header.substr(0, kExcerptMax));
}

bool Matches(const Route& route, std::string_view path) {
  const std::size_t star = route.path.find('*');
  if (star == std::string_view::npos) return route.path == path;
  const std::string_view before = route.path.substr(0, star);
  const std::string_view after = route.path.substr(star + 1);
  return path.size() >= before.size() + after.size() && path.starts_with(before) &&
         path.ends_with(after);
}

}  // namespace

Api::Api(const Gateway& gateway, const ChatGateway& chat, Metrics& metrics, Access& access,
         AccessLog* access_log, Tracer& tracer, const Settings& settings, const Clock& clock,
         Logger& logger, std::function<std::string()> new_id, std::size_t conversations,
         Budget* budget)
    : services_{.gateway = gateway,
                .chat = chat,
                .metrics = metrics,
                .access = access,
                .settings = settings,
                .clock = clock,
                .new_id = std::move(new_id),
                .threads = settings.engine.threads > 0
                               ? static_cast<std::size_t>(settings.engine.threads)
                               : ReadCpuBudget().threads,
                .started = clock.WallNow(),
                .ready = &ready_,
                .budget = budget},
      json_depth_(static_cast<std::size_t>(settings.limits.json_depth)),
      tei_validation_(static_cast<int>(settings.server.tei_validation_status)),
      logger_(logger),
      access_log_(access_log),
      tracer_(tracer),
      conversations_max_(conversations) {}

const Route* Api::FindRoute(const HttpRequest& request, std::string& allowed) {
  for (const Route& route : Routes()) {
    if (!Matches(route, request.path)) continue;
    if (request.method == route.method || (request.method == "HEAD" && route.method == "GET")) {
      return &route;
    }
    allowed += allowed.empty() ? "" : ", ";
    allowed += route.method;
  }
  return nullptr;
}

HttpResponse Api::NoRoute(const HttpRequest& request, const std::string& allowed) const {
  if (allowed.empty()) {
    return ErrorResponseWithStatus(
        Dialect::kOpenAi,
        Error{Code::kNotFound,
              fmt::format("there is no {}; GET /docs lists the routes", Excerpt(request.path)), "",
              std::nullopt},
        404);
  }
  HttpResponse response =
      ErrorResponseWithStatus(Dialect::kOpenAi,
                              Error{Code::kUnimplemented,
                                    fmt::format("expected {} {}, got {}", allowed,
                                                Excerpt(request.path), Excerpt(request.method)),
                                    "", std::nullopt},
                              405);
  response.headers.push_back({"Allow", allowed});
  return response;
}

HttpResponse Api::Preflight(const HttpRequest& request) const {
  if (Result<> allowed = services_.access.CheckBrowser(request); !allowed) {
    return ErrorResponse(Dialect::kOpenAi, allowed.error(), tei_validation_);
  }
  HttpResponse response;
  response.status = 204;
  response.content_type = "";
  return response;
}

Result<HttpResponse> Api::Answer(const Route& route, Call& call) const {
  // Clients that left while their request waited cost nothing more.
  RETURN_IF_ERROR(call.context.Check(services_.clock.Now()));
  const HttpRequest& request = call.request;
  RETURN_IF_ERROR(services_.access.CheckBrowser(request));
  const std::string_view key =
      PresentedKey(request.header("Authorization"), request.header("X-API-Key"));
  ASSIGN_OR_RETURN(call.context.client, services_.access.Identify(route.scope, key));
  RETURN_IF_ERROR(services_.access.CountRequest(call.context.client));
  ASSIGN_OR_RETURN(call.context.priority, ParsePriority(request.header("X-Priority")));
  if (!route.request_schema.empty()) {
    ASSIGN_OR_RETURN(call.body, ParseJson(call.request.body, json_depth_));
  }
  if (!route.streams) return route.handler(call);
  const CountedIn running(conversations_);
  if (running.now() > conversations_max_) {
    auto failure =
        Fail(Code::kResourceExhausted,
             "{} conversations run already, and server.workers allows no more; try again "
             "later",
             conversations_max_);
    failure.value().retry_after = std::chrono::seconds(1);
    return failure;
  }
  return route.handler(call);
}

void Api::Report(const Call& call, HttpResponse& response) const {
  const ModelWork& work = call.work;
  const auto add = [&](const char* name, std::string value) {
    response.headers.push_back({name, std::move(value)});
  };
  const std::string total = Milliseconds(call.elapsed());
  add("x-compute-type", work.compute);
  add("x-compute-time", total);
  add("x-compute-characters", std::to_string(work.characters));
  add("x-compute-tokens", std::to_string(SumOf(work.tokens)));
  add("x-total-time", total);
  add("x-tokenization-time", Milliseconds(work.times.tokenization));
  add("x-queue-time", Milliseconds(work.times.queue));
  add("x-inference-time", Milliseconds(work.times.inference));
  // The standard header for it, and finer than whole milliseconds.
  add("Server-Timing",
      fmt::format("tokenization;dur={:.3f}, queue;dur={:.3f}, inference;dur={:.3f}, "
                  "total;dur={:.3f}",
                  Fractional(work.times.tokenization), Fractional(work.times.queue),
                  Fractional(work.times.inference), Fractional(call.elapsed())));
  if (work.truncated > 0) add("x-truncated-inputs", std::to_string(work.truncated));
  if (!work.served) return;
  const Served& served = *work.served;
  add("x-served-by", served.by);
  add("x-attempts", std::to_string(served.attempts));
  if (served.cost_pusd) add("x-cost-usd", FormatUsd(*served.cost_pusd));
  if (served.tokens_estimated) add("x-tokens-estimated", "true");
  if (served.adapted) add("x-adapted", "true");
}

HttpResponse Api::Run(const Route& route, Call& call) const {
  Result<HttpResponse> answer = Answer(route, call);
  const bool worked = call.work.job != ModelWork::Job::kNone;
  const double seconds = std::chrono::duration<double>(call.elapsed()).count();
  services_.access.Charge(call.context.client, SumOf(call.work.tokens) + call.other_tokens);
  if (call.chat) services_.metrics.CountChat(*call.chat, seconds);
  if (answer) {
    if (call.chat && call.chat->error) LogFailure(route, call, *call.chat->error);
    if (call.chat && call.chat->served.verdict && !call.chat->served.verdict->error.empty()) {
      logger_.Warning("request {}: the guard could not score the conversation, which passed: {}",
                      call.context.id, call.chat->served.verdict->error);
    }
    if (worked) {
      services_.metrics.CountWork(call.work, seconds);
      Report(call, *answer);
    }
    return *std::move(answer);
  }
  const Error& error = answer.error();
  if (worked) services_.metrics.CountFailedWork(call.work, error.code);
  LogFailure(route, call, error);
  return ErrorResponse(call.dialect, error, tei_validation_, call.context.id);
}

void Api::LogFailure(const Route& route, const Call& call, const Error& error) const {
  if (StatusOf(Dialect::kOpenAi, error.code, tei_validation_) != 500) return;
  logger_.Error("request {} {} failed: {}", call.context.id, route.path, error.ToString());
}

bool Api::IsQuick(const HttpRequest& request) const {
  std::string allowed;
  const Route* route = FindRoute(request, allowed);
  return route != nullptr && route->quick;
}

void Api::Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) {
  const SteadyTime start = services_.clock.Now();
  const WallTime began = services_.clock.WallNow();
  const std::string_view given_id = request.header("X-Request-ID");
  const std::string id = IsPlainId(given_id) ? std::string(given_id) : services_.new_id();
  std::string allowed;
  const Route* route = FindRoute(request, allowed);
  Call call{.services = services_,
            .request = request,
            .context = {id, request.deadline, request.stop},
            .start = start,
            .dialect = route == nullptr ? Dialect::kOpenAi : route->dialect,
            .body = nullptr,
            .work = {},
            .writer = writer.get()};
  call.context.trace = tracer_.Begin(request.header("traceparent"), request.header("tracestate"));
  HttpResponse response = route != nullptr       ? Run(*route, call)
                          : allowed.empty()      ? NoRoute(request, allowed)
                          : IsPreflight(request) ? Preflight(request)
                                                 : NoRoute(request, allowed);
  services_.metrics.CountRequest(route == nullptr ? "other" : route->path, response.status,
                                 std::chrono::duration<double>(call.elapsed()).count());
  LogAccess(route, call, response);
  Trace(route, call, began, response);
  if (call.streams) return;
  AddCommonHeaders(call, response);
  writer->Send(std::move(response));
}

// The names are those of OpenTelemetry's semantic conventions where there is one. Never texts.
void Api::Trace(const Route* route, Call& call, WallTime began,
                const HttpResponse& response) const {
  // Probes and scrapes would be most of the traces.
  if (!call.context.trace.sampled || !tracer_.records() || (route != nullptr && route->quick)) {
    return;
  }
  Span span{.trace = call.context.trace, .start = began, .duration = call.elapsed()};
  const std::string path(route == nullptr ? "other" : route->path);
  span.name = fmt::format("{} {}", Excerpt(call.request.method), path);
  span.attributes = {
      {"http.request.method", std::string(Excerpt(call.request.method))},
      {"http.route", path},
      {"http.response.status_code", std::int64_t{response.status}},
      {"client.address", call.request.peer},
      {"garrison.request_id", call.context.id},
  };
  if (!call.context.client.empty()) span.attributes.emplace_back("enduser.id", call.context.client);
  const ModelWork& work = call.work;
  if (work.job != ModelWork::Job::kNone) {
    const auto add = [&span](const char* name, Span::Value value) {
      span.attributes.emplace_back(name, std::move(value));
    };
    add("gen_ai.operation.name",
        std::string(work.job == ModelWork::Job::kEmbed ? "embeddings" : "classification"));
    add("gen_ai.usage.input_tokens", static_cast<std::int64_t>(SumOf(work.tokens)));
    add("garrison.inputs", static_cast<std::int64_t>(work.tokens.size()));
    add("garrison.compute", work.compute);
    add("garrison.tokenization_ms", Fractional(work.times.tokenization));
    add("garrison.queue_ms", Fractional(work.times.queue));
    add("garrison.inference_ms", Fractional(work.times.inference));
  }
  if (call.chat) Describe(*call.chat, span);
  // A client's own mistake is no error of the server.
  if (response.status >= 500) span.error = fmt::format("status {}", response.status);
  tracer_.End(std::move(span));
}

// Never the query, headers or the body: they may hold texts and keys.
void Api::LogAccess(const Route* route, const Call& call, const HttpResponse& response) const {
  if (access_log_ == nullptr) return;
  nlohmann::ordered_json entry = {
      {"time", FormatUtc(services_.clock.WallNow())},
      {"id", call.context.id},
      {"remote", call.request.peer},
      {"key", call.context.client},
      {"method", Excerpt(call.request.method)},
      {"path", route == nullptr ? Excerpt(call.request.path) : route->path},
      {"dialect", DialectName(call.dialect)},
      {"status", response.status},
      {"bytes_in", call.request.body.size()},
      {"bytes_out", call.streams ? call.chat->streamed_bytes : response.body.size()},
      {"total_ms", Fractional(call.elapsed())}};
  if (call.context.trace.exists()) entry["trace_id"] = call.context.trace.trace_id;
  const ModelWork& work = call.work;
  if (work.job != ModelWork::Job::kNone) {
    entry["inputs"] = work.tokens.size();
    entry["tokens"] = SumOf(work.tokens);
    entry["compute"] = work.compute;
    entry["tokenization_ms"] = Fractional(work.times.tokenization);
    entry["queue_ms"] = Fractional(work.times.queue);
    entry["inference_ms"] = Fractional(work.times.inference);
  }
  if (call.chat) Describe(*call.chat, entry);
  access_log_->Write(entry);
}

HttpResponse Api::Refuse(int status, const Error& error) {
  services_.metrics.CountRefusal(status);
  HttpResponse response = ErrorResponseWithStatus(Dialect::kOpenAi, error, status);
  response.headers.push_back({"X-Request-ID", services_.new_id()});
  return response;
}

}  // namespace garrison
