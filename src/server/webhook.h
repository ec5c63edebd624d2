// Alerts of the guard on their way to an operator's HTTP endpoint: docs/guard.md.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/guard_alert.h"
#include "core/settings.h"
#include "net/http_client.h"

namespace garrison {

// "t=1700000000,v1=HEX": the HMAC-SHA-256 of "1700000000." and the body, under the secret. Whoever
// receives it checks it, and that the time is not long ago.
std::string WebhookSignature(std::string_view secret, std::int64_t unix_seconds,
                             std::string_view body);

// Thread-safe. Requests never wait for the endpoint: alerts go into a bounded queue that one thread
// sends, one at a time and in order; what is not taken after some tries is lost and counted.
class GuardWebhook final : public GuardAlertSink {
 public:
  struct Options {
    std::string url;
    std::string secret;  // empty: not signed
    int tries = 6;
    std::chrono::milliseconds first_wait{500};  // doubled each time, to half a minute
    std::chrono::milliseconds patience{5'000};  // of one try, and of what is left at the end
  };

  // INVALID_ARGUMENT (where: "guard.webhook_url") for an address that no call could have; NOT_FOUND
  // for `ca_file`. `logger` must outlive it.
  static Result<std::unique_ptr<GuardWebhook>> Create(Options options, const std::string& ca_file,
                                                      Logger& logger);
  GuardWebhook(Options options, std::unique_ptr<HttpClient> client, Logger& logger);
  ~GuardWebhook() override;

  void Notify(GuardAlert alert) override;

  std::uint64_t sent() const { return sent_; }
  std::uint64_t lost() const { return lost_; }

 private:
  void SendUntilStopped(const std::stop_token& stop);
  void Send(const GuardAlert& alert, const std::stop_token& stop);
  // True: done with, taken or not. `wait`: before the next try.
  bool TryToSend(const std::string& id, const std::string& body, std::chrono::milliseconds& wait);
  void Lose(const std::string& why);

  const Options options_;
  const std::unique_ptr<HttpClient> client_;
  Logger& logger_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<GuardAlert> queue_;  // guarded by mutex_
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<std::uint64_t> lost_ = 0;
  SteadyTime last_ = SteadyTime::max();  // the sending thread's: when it ends, once it was stopped
  std::jthread thread_;                  // last: it uses all the others
};

}  // namespace garrison
