#include "server/tracer.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/random.h"
#include "wire/otlp.h"

namespace garrison {
namespace {

constexpr std::size_t kQueueMax = 4096;
constexpr std::size_t kBatch = 512;
constexpr int kTries = 5;
constexpr std::chrono::milliseconds kFirstWait{1000};
constexpr std::chrono::milliseconds kLongestWait{30'000};
// For what is left when the service stops.
constexpr std::chrono::seconds kLastTime{5};
// Between two lines about lost spans.
constexpr std::chrono::seconds kSilence{60};

// Uniform in [0, 1): the first 52 bits of a trace's random id, so that all services that sample
// with the same ratio record the same traces.
double Fraction(std::string_view trace_id) {
  const std::string_view digits = trace_id.substr(0, 13);
  std::uint64_t bits = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
  return static_cast<double>(bits) / static_cast<double>(std::uint64_t{1} << 52);
}

std::string_view Trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// "NAME=VALUE, ..." as OTEL_EXPORTER_OTLP_HEADERS has it: values are percent-encoded
// (https://www.w3.org/TR/baggage/, without properties).
Result<std::vector<HttpHeader>> ParseHeaders(std::string_view text) {
  std::vector<HttpHeader> headers;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t equals = entry.find('=');
    const std::string_view name = Trim(entry.substr(0, equals));
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    });
    if (equals == std::string_view::npos || name.empty() || !plain) {
      return FailAt("tracing.headers", Code::kInvalidArgument, "expected NAME=VALUE,NAME=VALUE");
    }
    headers.push_back({std::string(name), PercentDecode(Trim(entry.substr(equals + 1)))});
  }
  return headers;
}

}  // namespace

Result<std::unique_ptr<Tracer>> Tracer::Create(const TracingSettings& settings, Logger& logger) {
  std::unique_ptr<HttpClient> client;
  if (!settings.endpoint.empty()) {
    if (const Result<> url = CheckHttpUrl(settings.endpoint); !url) {
      return FailAt("tracing.endpoint", Code::kInvalidArgument, "{}", url.error().message);
    }
    RETURN_IF_ERROR(ParseHeaders(settings.headers));
    ASSIGN_OR_RETURN(client, HttpClient::Create({.ca_file = settings.ca_file}));
  }
  return std::make_unique<Tracer>(settings, std::move(client), logger);
}

Tracer::Tracer(const TracingSettings& settings, std::unique_ptr<HttpClient> client, Logger& logger)
    : settings_(settings), client_(std::move(client)), logger_(logger) {
  if (client_ == nullptr) return;
  headers_ = ParseHeaders(settings.headers).value_or(std::vector<HttpHeader>());
  headers_.push_back({"Content-Type", "application/json"});
  thread_ = std::jthread([this](const std::stop_token& stop) { SendUntilStopped(stop); });
}

Tracer::~Tracer() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

TraceContext Tracer::Begin(std::string_view traceparent, std::string_view tracestate) const {
  std::optional<TraceContext> caller = ParseTraceparent(traceparent, tracestate);
  if (!caller && !records()) return {};
  if (!caller) {
    TraceContext begun{.trace_id = RandomHex(16), .span_id = RandomHex(8)};
    begun.sampled = Fraction(begun.trace_id) < settings_.sample_ratio;
    return begun;
  }
  if (!records()) return *std::move(caller);
  caller->parent_id = std::exchange(caller->span_id, RandomHex(8));
  return *std::move(caller);
}

void Tracer::End(Span span) {
  if (!records() || !span.trace.sampled) return;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() == kQueueMax) {
      ++lost_;
      return;
    }
    queue_.push_back(std::move(span));
  }
  changed_.notify_one();
}

void Tracer::SendUntilStopped(const std::stop_token& stop) {
  while (true) {
    std::vector<Span> batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, std::chrono::milliseconds(settings_.interval_ms),
                        [&] { return queue_.size() >= kBatch; });
      const auto end =
          queue_.begin() + static_cast<std::ptrdiff_t>(std::min(kBatch, queue_.size()));
      std::move(queue_.begin(), end, std::back_inserter(batch));
      queue_.erase(queue_.begin(), end);
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    if (stop.stop_requested()) last_ = std::min(last_, now + kLastTime);
    if (stop.stop_requested() && (batch.empty() || now >= last_)) return;
    if (!batch.empty()) Send(std::move(batch), stop);
  }
}

void Tracer::Send(std::vector<Span> spans, const std::stop_token& stop) {
  const std::string body = EncodeOtlpTraces(spans, settings_.service_name);
  std::chrono::milliseconds wait = kFirstWait;
  for (int i = 0; i < kTries; ++i) {
    if (TryToSend(body, spans.size(), wait)) return;
    if (stop.stop_requested()) break;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, std::min(wait, kLongestWait), [] { return false; });
    wait *= 2;
  }
  Lose(spans.size(), "the collector does not answer");
}

bool Tracer::TryToSend(const std::string& body, std::size_t count,
                       std::chrono::milliseconds& wait) {
  HttpCallLimits limits;
  limits.connect = limits.first_content = limits.content_idle = kLastTime;
  limits.deadline = std::min(std::chrono::steady_clock::now() + kLastTime, last_);
  const Result<HttpReply> reply = client_->Fetch(
      {.method = "POST", .url = settings_.endpoint, .headers = headers_, .body = body}, limits,
      nullptr);
  if (!reply) {
    logger_.Debug("traces: {}", reply.error().ToString());
    if (reply.error().code != Code::kInvalidArgument) return false;
    Lose(count, reply.error().message);
    return true;
  }
  // What the protocol names as worth another try.
  if (reply->status == 429 || (reply->status >= 502 && reply->status <= 504)) {
    int seconds = 0;
    const std::string_view after = reply->header("Retry-After");
    std::from_chars(after.data(), after.data() + after.size(), seconds);
    if (seconds > 0) wait = std::chrono::seconds(seconds);
    return false;
  }
  if (reply->status / 100 != 2) {
    Lose(count, fmt::format("the collector answers {}", reply->status));
  } else if (const std::uint64_t rejected = OtlpRejectedSpans(reply->body); rejected > 0) {
    Lose(rejected, "the collector refuses some");
  }
  return true;
}

void Tracer::Lose(std::uint64_t count, const std::string& why) {
  lost_ += count;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (said_lost_ != SteadyTime() && now - said_lost_ < kSilence) return;
  said_lost_ = now;
  logger_.Warning("{} spans are lost: {} (tracing.endpoint)", count, why);
}

}  // namespace garrison
