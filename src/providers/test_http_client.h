// For tests: an HTTP client whose answers are scripted, and time that moves only when someone
// waits.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
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
  Result<std::unique_ptr<HttpReplyStream>> Open(const HttpCall&, const HttpCallLimits&,
                                                HttpProgress*) override {
    return Fail(Code::kUnimplemented, "not in this test");
  }

  std::vector<HttpCall> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<HttpCall> calls_;
};

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
