// For tests: an HTTP client whose answers are scripted, and time that moves only when someone
// waits.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "net/http_client.h"
#include "providers/chance.h"

namespace garrison {

class TestHttpClient final : public HttpClient {
 public:
  struct Answer {
    Result<HttpReply> reply;
    HttpProgress progress{.connected = true, .sent = true};
  };

  // A piece of a streamed body, or what happens instead of one.
  struct Step {
    std::string bytes = {};
    std::chrono::milliseconds wait{0};  // before it, on `clock`
    std::optional<Error> error = {};
    std::function<void()> before = {};  // right before it comes
  };
  struct Stream {
    int status = 200;
    std::vector<HttpHeader> headers = {{"Content-Type", "text/event-stream"}};
    std::vector<Step> steps = {};
    std::optional<Error> refused = {};  // there is no reply at all
    HttpProgress progress = {.connected = true, .sent = true};
  };

  // Opened in turn.
  std::deque<Stream> streams;
  ManualClock* clock = nullptr;  // that waits of streams move
  std::function<void()> on_open;
  // The answers in turn; when they are used up, `otherwise`.
  std::deque<Answer> answers;
  std::function<Answer(const HttpCall&)> otherwise;
  // Before the answer, without the lock.
  std::function<void(const HttpCall&, const HttpCallLimits&)> on_call;

  void Reply(int status, std::string body = "{}", std::vector<HttpHeader> headers = {}) {
    answers.push_back({HttpReply{status, std::move(headers), std::move(body)},
                       {.connected = true, .sent = true, .replied = true}});
  }
  void Break(Code code, std::string where, HttpProgress progress) {
    answers.push_back({FailAt(std::move(where), code, "broken"), progress});
  }

  Result<HttpReply> Fetch(const HttpCall& call, const HttpCallLimits& limits,
                          HttpProgress* progress) override {
    if (on_call) on_call(call, limits);
    const std::lock_guard lock(mutex_);
    calls_.push_back(call);
    Answer answer{Fail(Code::kUnavailable, "nothing is scripted"), {}};
    if (!answers.empty()) {
      answer = std::move(answers.front());
      answers.pop_front();
    } else if (otherwise) {
      answer = otherwise(call);
    }
    if (progress != nullptr) *progress = answer.progress;
    return std::move(answer.reply);
  }
  Result<std::unique_ptr<HttpReplyStream>> Open(const HttpCall& call, const HttpCallLimits& limits,
                                                HttpProgress* progress) override;

  std::vector<HttpCall> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<HttpCall> calls_;
};

// Plays a script. Reading on after a limit of time goes on where it was.
class TestReplyStream final : public HttpReplyStream {
 public:
  TestReplyStream(TestHttpClient::Stream script, ManualClock* clock, HttpCallLimits limits,
                  HttpProgress* progress)
      : script_(std::move(script)),
        clock_(clock),
        limits_(std::move(limits)),
        progress_(progress) {}

  int status() const override { return script_.status; }
  const std::vector<HttpHeader>& headers() const override { return script_.headers; }

  Result<std::string> Read(std::chrono::milliseconds idle) override {
    if (limits_.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
    if (next_ == script_.steps.size()) return std::string();
    TestHttpClient::Step& step = script_.steps[next_];
    if (step.wait.count() > 0) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(limits_.deadline - clock_->Now());
      const std::chrono::milliseconds most = std::min(idle, left);
      const std::chrono::milliseconds waits = std::min(step.wait, most);
      clock_->Advance(waits);
      step.wait -= waits;
      if (step.wait.count() > 0) {
        return FailAt(left < idle ? "total" : "content_idle", Code::kDeadlineExceeded, "slow");
      }
    }
    ++next_;
    if (step.before) step.before();
    if (limits_.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
    if (step.error) return tl::unexpected(*step.error);
    progress_->body_bytes += step.bytes.size();
    progress_->received = true;
    return step.bytes;
  }

 private:
  TestHttpClient::Stream script_;
  ManualClock* clock_;
  const HttpCallLimits limits_;
  HttpProgress* progress_;
  std::size_t next_ = 0;
};

inline Result<std::unique_ptr<HttpReplyStream>> TestHttpClient::Open(const HttpCall& call,
                                                                     const HttpCallLimits& limits,
                                                                     HttpProgress* progress) {
  if (on_open) on_open();
  const std::lock_guard lock(mutex_);
  calls_.push_back(call);
  if (streams.empty()) return Fail(Code::kUnavailable, "no stream is scripted");
  Stream stream = std::move(streams.front());
  streams.pop_front();
  *progress = stream.progress;
  if (stream.refused) return tl::unexpected(*stream.refused);
  progress->replied = true;
  return std::make_unique<TestReplyStream>(std::move(stream), clock, limits, progress);
}

// Notes every wait and moves the clock by it.
struct TestTime {
  ManualClock clock;
  std::mutex mutex;
  std::vector<std::chrono::milliseconds> waits;

  Chance chance() {
    return {clock,
            [this](std::chrono::nanoseconds time, const std::stop_token&) {
              const std::lock_guard lock(mutex);
              waits.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(time));
              clock.Advance(time);
            },
            [] { return 0.0; }};
  }
};

// What OpenAI answers to the texts of a call: the vector of a text is {bytes, first byte, 1}.
inline TestHttpClient::Answer AnswerLikeOpenAi(const HttpCall& call) {
  const nlohmann::json body = nlohmann::json::parse(call.body);
  nlohmann::json data = nlohmann::json::array();
  std::size_t tokens = 0, index = 0;
  for (const auto& input : body["input"]) {
    const float size = static_cast<float>(input.size());
    float first = 0;
    if (input.is_string()) {
      const auto& text = input.get_ref<const std::string&>();
      first = static_cast<float>(static_cast<unsigned char>(text[0]));
    }
    const std::vector<float> row = {
        input.is_string() ? static_cast<float>(input.get_ref<const std::string&>().size()) : size,
        first, 1};
    tokens += static_cast<std::size_t>(row[0]);
    const nlohmann::json entry = {{"index", index++},
                                  {"embedding", EncodeBase64(std::as_bytes(std::span(row)))}};
    data.insert(data.begin(), entry);
  }
  const nlohmann::json reply = {{"data", data}, {"usage", {{"prompt_tokens", tokens}}}};
  return {HttpReply{200, {}, reply.dump()}, {.connected = true, .sent = true, .replied = true}};
}

}  // namespace garrison
