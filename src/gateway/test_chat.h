// For tests: a model that says what it is told to, and a catalog of it alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/chat.h"

namespace garrison {

// "test/echo", also "echo". Answers with `events`, then ends with `end` or fails with `failure`;
// `before` comes first of all and may fail without an answer.
class TestChatModel final : public ChatModel {
 public:
  const std::string& id() const override { return id_; }

  Result<ChatOutcome> Answer(const ChatRequest& request, ChatSink& sink,
                             const RequestContext& context) const override {
    last = request;
    last_context = context;
    RETURN_IF_ERROR(before());
    const ChatServed served{id_, "echo-2026-01-01", "vendor-1", 2};
    RETURN_IF_ERROR(sink.Begin(served));
    for (const ChatEvent& event : events) {
      if (Result<> taken = sink.Take(event); !taken) {
        sink_failed = taken.error();
        return tl::unexpected(taken.error());
      }
    }
    if (failure) return tl::unexpected(*failure);
    return ChatOutcome{served, end, cost};
  }

  Result<std::uint64_t> CountTokens(const ChatRequest& request,
                                    const RequestContext&) const override {
    return request.messages.size() * 10;
  }

  std::function<Result<>()> before = [] { return Result<>(); };
  std::vector<ChatEvent> events = {ChatTextDelta{"Hel"}, ChatTextDelta{"lo"}};
  ChatEnd end{.finish = ChatFinish::kStop, .usage = {.input = 7, .output = 2}};
  std::optional<Pusd> cost = Pusd{12'300'000};
  std::optional<Error> failure;
  mutable ChatRequest last;
  mutable RequestContext last_context;
  mutable std::optional<Error> sink_failed;

 private:
  const std::string id_ = "test/echo";
};

class TestChatCatalog final : public ChatCatalog {
 public:
  Result<std::shared_ptr<const ChatModel>> Find(std::string_view name) const override {
    if (name.empty() || name == "echo" || name == "test/echo") return {model};
    return FailAt("model", Code::kNotFound, "there is no model \"{}\"; there is test/echo", name);
  }
  std::vector<ChatModelStatus> List() const override {
    if (empty) return {};
    return {{.id = "test/echo", .provider = "test", .aliases = {"echo"}, .error = ""}};
  }

  std::shared_ptr<TestChatModel> model = std::make_shared<TestChatModel>();
  bool empty = false;
};

}  // namespace garrison
