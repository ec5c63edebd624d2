// Routes on which models chat: OpenAI's and Anthropic's.
#include <chrono>
#include <functional>
#include <span>
#include <utility>

#include "core/money.h"
#include "server/handlers.h"
#include "wire/anthropic.h"
#include "wire/chat_stream.h"
#include "wire/openai_chat.h"

namespace garrison {
namespace {

using Parts = std::span<const ChatPart>;
using Encoder = std::unique_ptr<ChatStreamEncoder>;

// How a dialect says an answer, given the name of who made it.
struct ChatForms {
  std::function<std::string(const std::string& by, Parts parts, const ChatOutcome& outcome)> whole;
  std::function<Encoder(const std::string& by)> stream;
};

// Of a text, where nobody counts: as the bound of a budget is a token for each byte, this is for
// the rates of keys alone.
constexpr std::uint64_t kBytesPerToken = 4;

std::uint64_t EstimateTokens(std::uint64_t bytes) {
  return (bytes + kBytesPerToken - 1) / kBytesPerToken;
}

// What the guard says, as headers.
void AddVerdict(const std::optional<ChatVerdict>& verdict, std::vector<HttpHeader>& headers) {
  if (!verdict) return;
  headers.push_back({"x-guard-status", std::string(verdict->status)});
  if (verdict->status == "failed") return;
  headers.push_back({"x-guard-evidence", fmt::format("{:.3f}", verdict->evidence)});
  headers.push_back({"x-guard-sum", fmt::format("{:.3f}", verdict->sum)});
  if (!verdict->advice.empty()) headers.push_back({"x-guard-advice", verdict->advice});
}

// Notes who answers and when, and how much goes by.
class MeasuringSink final : public ChatSink {
 public:
  MeasuringSink(Call& call, ChatSink& next) : call_(call), next_(next) {}

  Result<> Begin(const ChatServed& served) override {
    call_.chat->served = served;
    call_.chat->first_content = call_.elapsed();
    return next_.Begin(served);
  }
  Result<> Take(const ChatEvent& event) override {
    bytes_ += TextBytes(event);
    return next_.Take(event);
  }

  std::uint64_t bytes() const { return bytes_; }

 private:
  Call& call_;
  ChatSink& next_;
  std::uint64_t bytes_ = 0;
};

// Sends an answer while it is made. Nothing is sent before there is something of it, so that a
// failure until then has a status of its own.
class StreamingSink final : public ChatSink {
 public:
  StreamingSink(Call& call, const ChatForms& forms) : call_(call), forms_(forms) {}

  Result<> Begin(const ChatServed& served) override {
    encoder_ = forms_.stream(served.by);
    HttpResponse head;
    head.content_type = "text/event-stream";
    head.body = encoder_->Begin(served);
    head.headers = {{"Cache-Control", "no-cache"},
                    {"X-Accel-Buffering", "no"},  // or nginx gathers what should flow
                    {"x-served-by", served.by},
                    {"x-attempts", std::to_string(served.attempts)}};
    AddVerdict(served.verdict, head.headers);
    call_.chat->streamed = true;
    call_.chat->streamed_bytes = head.body.size();
    stream_ = call_.Stream(std::move(head));
    return {};
  }
  Result<> Take(const ChatEvent& event) override { return Write(encoder_->Event(event)); }

  Result<> End(const ChatOutcome& outcome) {
    // A body has no headers behind it that clients would read; comments are skipped by all.
    std::string bytes;
    if (outcome.cost) bytes = fmt::format(": x-cost-usd {}\n\n", FormatUsd(*outcome.cost));
    if (outcome.served.verdict) {
      bytes += fmt::format(": x-guard-status {}\n\n", outcome.served.verdict->status);
    }
    RETURN_IF_ERROR(Write(bytes + encoder_->End(outcome)));
    return stream_->Finish();
  }
  // The body itself ends in order: clients drop an event that they have not read yet when the
  // connection breaks.
  Result<> Break(const Error& error) {
    RETURN_IF_ERROR(Write(encoder_->Fail(error)));
    return stream_->Finish();
  }

  bool begun() const { return stream_ != nullptr; }

 private:
  Result<> Write(std::string bytes) {
    if (bytes.empty()) return {};
    call_.chat->streamed_bytes += bytes.size();
    return stream_->Write(std::move(bytes));
  }

  Call& call_;
  const ChatForms& forms_;
  Encoder encoder_;
  std::unique_ptr<BodyStream> stream_;
};

// For the metrics, the log, and the rate of the caller's key: an answer that broke off was read and
// written all the same.
void Record(const ChatRequest& request, const Result<ChatOutcome>& outcome, std::uint64_t bytes,
            Call& call) {
  ChatWork& work = *call.chat;
  if (outcome) {
    work.served = outcome->served;
    work.usage = outcome->end.usage;
    work.usage_known = outcome->end.usage_known;
    work.cost = outcome->cost;
  } else {
    work.error = outcome.error();
    if (work.served.by.empty()) return;
    work.usage.input = EstimateTokens(TextBytes(request));
    work.usage.output = EstimateTokens(bytes);
  }
  call.other_tokens += work.usage.all_input() + work.usage.output;
}

Result<HttpResponse> AnswerWhole(Call& call, const ChatModel& model, const ChatRequest& request,
                                 const ChatForms& forms) {
  ChatCollector collector;
  MeasuringSink sink(call, collector);
  const Result<ChatOutcome> outcome = model.Answer(request, sink, call.context);
  Record(request, outcome, sink.bytes(), call);
  if (!outcome) return tl::unexpected(outcome.error());
  HttpResponse response =
      JsonResponse(forms.whole(outcome->served.by, collector.parts(), *outcome));
  response.headers = {{"x-served-by", outcome->served.by},
                      {"x-attempts", std::to_string(outcome->served.attempts)}};
  if (outcome->cost) response.headers.push_back({"x-cost-usd", FormatUsd(*outcome->cost)});
  AddVerdict(outcome->served.verdict, response.headers);
  if (!outcome->end.usage_known) response.headers.push_back({"x-tokens-estimated", "true"});
  return response;
}

Result<HttpResponse> AnswerStreamed(Call& call, const ChatModel& model, const ChatRequest& request,
                                    const ChatForms& forms) {
  // That of the request is for the head, and kept by the server; the model has its own.
  call.context.deadline = SteadyTime::max();
  StreamingSink out(call, forms);
  MeasuringSink sink(call, out);
  const Result<ChatOutcome> outcome = model.Answer(request, sink, call.context);
  Record(request, outcome, sink.bytes(), call);
  Result<> sent;
  if (outcome) {
    if (!out.begun()) RETURN_IF_ERROR(out.Begin(outcome->served));  // an answer without content
    sent = out.End(*outcome);
  } else if (out.begun()) {
    // A client that has left is not told; it does not matter whether the others could be.
    static_cast<void>(out.Break(outcome.error()));
  } else {
    Error error = outcome.error();
    const bool late = call.services.clock.Now() >= call.request.deadline;
    if (error.code == Code::kCancelled && late) {
      error = Error{Code::kDeadlineExceeded, "no content came in time; see limits.request_ms", "",
                    std::nullopt};
    }
    return tl::unexpected(std::move(error));
  }
  if (!sent) call.chat->error = std::move(sent).error();
  HttpResponse response;
  response.content_type = "text/event-stream";
  return response;
}

Result<HttpResponse> Answer(Call& call, const ChatRequest& request, bool stream,
                            const ChatForms& forms) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const ChatModel> model,
                   call.services.chat.Admit(request, call.context));
  call.chat = ChatWork{.model = model->id()};
  return stream ? AnswerStreamed(call, *model, request, forms)
                : AnswerWhole(call, *model, request, forms);
}

ChatReplyName OpenAiName(const Call& call, std::string_view prefix, const std::string& by) {
  const auto since_1970 = call.services.clock.WallNow().time_since_epoch();
  return {.id = std::string(prefix) + call.services.new_id(),
          .model = by,
          .created = std::chrono::duration_cast<std::chrono::seconds>(since_1970).count()};
}

}  // namespace

Result<HttpResponse> HandleOpenAiChat(Call& call) {
  ASSIGN_OR_RETURN(const OpenAiChatCall decoded, DecodeOpenAiChat(call.body));
  const auto name = [&](const std::string& by) { return OpenAiName(call, "chatcmpl-", by); };
  return Answer(call, decoded.request, decoded.stream,
                {.whole =
                     [&](const std::string& by, Parts parts, const ChatOutcome& outcome) {
                       return EncodeOpenAiChat(name(by), parts, outcome);
                     },
                 .stream =
                     [&](const std::string& by) {
                       return MakeOpenAiChatStream(name(by), decoded.include_usage);
                     }});
}

Result<HttpResponse> HandleOpenAiCompletions(Call& call) {
  ASSIGN_OR_RETURN(const OpenAiChatCall decoded, DecodeOpenAiCompletion(call.body));
  const auto name = [&](const std::string& by) { return OpenAiName(call, "cmpl-", by); };
  return Answer(
      call, decoded.request, decoded.stream,
      {.whole =
           [&](const std::string& by, Parts parts, const ChatOutcome& outcome) {
             return EncodeOpenAiCompletion(name(by), decoded, parts, outcome);
           },
       .stream =
           [&](const std::string& by) { return MakeOpenAiCompletionStream(name(by), decoded); }});
}

Result<HttpResponse> HandleAnthropicMessages(Call& call) {
  ASSIGN_OR_RETURN(const AnthropicCall decoded, DecodeAnthropicMessages(call.body));
  const auto name = [&](const std::string& by) {
    return AnthropicReplyName{.id = "msg_" + call.services.new_id(), .model = by};
  };
  return Answer(call, decoded.request, decoded.stream,
                {.whole =
                     [&](const std::string& by, Parts parts, const ChatOutcome& outcome) {
                       return EncodeAnthropicMessage(name(by), parts, outcome);
                     },
                 .stream = [&](const std::string& by) { return MakeAnthropicStream(name(by)); }});
}

Result<HttpResponse> HandleAnthropicCountTokens(Call& call) {
  ASSIGN_OR_RETURN(const ChatRequest request, DecodeAnthropicCountTokens(call.body));
  ASSIGN_OR_RETURN(const std::shared_ptr<const ChatModel> model,
                   call.services.chat.Admit(request, call.context));
  ASSIGN_OR_RETURN(const std::uint64_t tokens, model->CountTokens(request, call.context));
  return JsonResponse(EncodeAnthropicCount(tokens));
}

}  // namespace garrison
