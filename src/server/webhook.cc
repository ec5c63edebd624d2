#include "server/webhook.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/hash.h"
#include "base/random.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::size_t kQueueMax = 1000;
constexpr std::chrono::seconds kLongestWait{30};

std::string BodyOf(const GuardAlert& alert, const std::string& id) {
  return DumpJson({{"type", alert.type},
                   {"id", id},
                   {"at", FormatUtc(alert.at)},
                   {"source", alert.source},
                   {"conversation_id", alert.conversation_id},
                   {"key", alert.tenant},
                   {"request_id", alert.request_id},
                   {"turn", alert.turn},
                   {"status", alert.status},
                   {"evidence", alert.evidence},
                   {"sum", alert.sum},
                   {"guard", alert.guard}});
}

}  // namespace

std::string WebhookSignature(std::string_view secret, std::int64_t unix_seconds,
                             std::string_view body) {
  const std::string stamped = fmt::format("{}.{}", unix_seconds, body);
  const Sha256Digest mac = HmacSha256(std::as_bytes(std::span(secret)), stamped);
  return fmt::format("t={},v1={}", unix_seconds, ToHex(mac));
}

Result<std::unique_ptr<GuardWebhook>> GuardWebhook::Create(Options options,
                                                           const std::string& ca_file,
                                                           Logger& logger) {
  if (const Result<> url = CheckHttpUrl(options.url); !url) {
    return FailAt("guard.webhook_url", Code::kInvalidArgument, "{}", url.error().message);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<HttpClient> client, HttpClient::Create({.ca_file = ca_file}));
  return std::make_unique<GuardWebhook>(std::move(options), std::move(client), logger);
}

GuardWebhook::GuardWebhook(Options options, std::unique_ptr<HttpClient> client, Logger& logger)
    : options_(std::move(options)), client_(std::move(client)), logger_(logger) {
  thread_ = std::jthread([this](const std::stop_token& stop) { SendUntilStopped(stop); });
}

GuardWebhook::~GuardWebhook() {
  thread_.request_stop();
  thread_.join();
}

void GuardWebhook::Notify(GuardAlert alert) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() < kQueueMax) {
      queue_.push_back(std::move(alert));
      changed_.notify_one();
      return;
    }
  }
  // Said once for many: the endpoint does not keep up.
  if (lost_++ % kQueueMax == 0) {
    logger_.Warning("alerts of the guard are lost: {} wait already (guard.webhook_url)", kQueueMax);
  }
}

void GuardWebhook::SendUntilStopped(const std::stop_token& stop) {
  while (true) {
    GuardAlert alert;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [this] { return !queue_.empty(); });
      if (queue_.empty()) return;
      alert = std::move(queue_.front());
      queue_.pop_front();
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    if (stop.stop_requested()) last_ = std::min(last_, now + options_.patience);
    if (now < last_) {
      Send(alert, stop);
    } else {
      const std::lock_guard lock(mutex_);
      const std::size_t left = queue_.size() + 1;
      queue_.clear();
      lost_ += left;
      logger_.Warning("{} alerts of the guard are lost: the program ends", left);
    }
  }
}

void GuardWebhook::Send(const GuardAlert& alert, const std::stop_token& stop) {
  // The same for every try, so that the receiver can tell a repetition.
  const std::string id = alert.id.empty() ? RandomHex(16) : alert.id;
  const std::string body = BodyOf(alert, id);
  std::chrono::milliseconds wait = options_.first_wait;
  for (int i = 0; i < options_.tries; ++i) {
    if (TryToSend(id, body, wait)) return;
    if (stop.stop_requested()) break;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, std::min<std::chrono::milliseconds>(wait, kLongestWait),
                      [] { return false; });
    wait *= 2;
  }
  Lose("the endpoint does not take it");
}

bool GuardWebhook::TryToSend(const std::string& id, const std::string& body,
                             std::chrono::milliseconds& wait) {
  HttpCall call{.method = "POST", .url = options_.url, .headers = {}, .body = body};
  call.headers = {{"Content-Type", "application/json"}, {"X-Garrison-Event", id}};
  if (!options_.secret.empty()) {
    // The time of the try: a receiver refuses what is old.
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    call.headers.push_back(
        {"X-Garrison-Signature", WebhookSignature(options_.secret, seconds, body)});
  }
  HttpCallLimits limits;
  limits.connect = limits.first_content = limits.content_idle = options_.patience;
  limits.deadline = std::min(std::chrono::steady_clock::now() + options_.patience, last_);
  limits.reply_bytes = std::size_t{64} << 10;
  const Result<HttpReply> reply = client_->Fetch(call, limits, nullptr);
  if (!reply) {
    logger_.Debug("webhook: {}", reply.error().ToString());
    if (reply.error().code != Code::kInvalidArgument) return false;
    Lose(reply.error().message);
    return true;
  }
  if (reply->status / 100 == 2) {
    ++sent_;
    return true;
  }
  if (reply->status == 408 || reply->status == 429 || reply->status >= 500) {
    int seconds = 0;
    const std::string_view after = reply->header("Retry-After");
    const auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), seconds);
    if (error == std::errc::result_out_of_range) wait = kLongestWait;
    if (seconds > 0) wait = std::chrono::seconds(seconds);
    return false;
  }
  Lose(fmt::format("the endpoint answers {}", reply->status));
  return true;
}

void GuardWebhook::Lose(const std::string& why) {
  ++lost_;
  logger_.Warning("an alert of the guard is lost: {} (guard.webhook_url)", why);
}

}  // namespace garrison
