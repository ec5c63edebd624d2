#include <deque>
#include <utility>

#include "server/grpc_call_base.h"
#include "server/grpc_calls.h"

namespace garrison {
namespace {

// How many messages a stream may have here at once: enough that no worker waits for the network,
// few enough that one stream does not fill the queue.
std::size_t ReadAhead(const GrpcLimits& limits) { return 2 * limits.workers; }

class StreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         public GrpcCallBase {
 public:
  using GrpcCallBase::GrpcCallBase;

  void Start() {
    std::unique_lock lock(mutex_);
    if (Result<> opened = Enter(); !opened) {
      runtime_.CountRefusal(method_, opened.error().code);
      failure_ = std::move(opened).error();
    }
    waiting_since_ = runtime_.Now();
    Act(lock);
  }

  void OnReadDone(bool ok) override {
    const auto self = shared_from_this();
    std::unique_lock lock(mutex_);
    reading_ = false;
    if (ok) {
      Take();
    } else {
      read_all_ = true;
    }
    Act(lock);
  }

  void OnWriteDone(bool ok) override {
    const auto self = shared_from_this();
    std::unique_lock lock(mutex_);
    writing_ = false;
    Uncharge(messages_.front().bytes);
    messages_.pop_front();
    --submitted_;
    waiting_since_ = runtime_.Now();
    if (!ok && !failure_) failure_ = Error{Code::kCancelled, "the client left", "", std::nullopt};
    Act(lock);
  }

  void OnCancel() override {
    const auto self = shared_from_this();
    std::unique_lock lock(mutex_);
    if (!failure_) failure_ = Error{Code::kCancelled, "the client left", "", std::nullopt};
    Act(lock);
  }

  void OnDone() override { Leave(); }

  void Sweep(SteadyTime now, bool draining) override {
    {
      std::unique_lock lock(mutex_);
      if (!finished_ && !failure_ && messages_.empty() && reading_) {
        if (Result<> idle = CheckIdle(now, waiting_since_, draining); !idle) {
          failure_ = std::move(idle).error();
          Act(lock);
        }
      } else if (writing_ && now - waiting_since_ > runtime_.limits().write_time) {
        stuck_ = true;
        Act(lock);
      }
    }
    SweepEnd(now);
  }

 private:
  enum class Step { kNone, kRead, kWrite, kCancel, kFinish };

  struct Message {
    grpc::ByteBuffer content;  // the request, then the answer
    std::uint64_t bytes = 0;   // charged
    bool done = false;
    std::optional<Error> error;
  };

  void Take() {
    Message& message = messages_.emplace_back();
    message.content.Swap(&incoming_);
    incoming_.Clear();
    if (Result<> charged = Charge(message.content.Length()); charged) {
      message.bytes = message.content.Length();
    } else {
      runtime_.CountRefusal(method_, charged.error().code);
      Spoil(message, std::move(charged).error());
    }
  }

  void Spoil(Message& message, Error error) {
    message.done = true;
    message.error = std::move(error);
    broken_ = true;
  }

  // Starts what can be started. One thread at a time does it and without the lock, since gRPC may
  // call back at once; what others change meanwhile it sees on its next round.
  void Act(std::unique_lock<std::mutex>& lock) {
    if (acting_) return;
    acting_ = true;
    const auto self = shared_from_this();
    for (Step step = Next(); step != Step::kNone; step = Next()) {
      lock.unlock();
      Do(step);
      lock.lock();
    }
    acting_ = false;
  }

  Step Next() {
    if (finished_) return Step::kNone;
    if (!failure_ && !messages_.empty() && messages_.front().error) {
      failure_ = messages_.front().error;
    }
    if (failure_) {
      stop_.request_stop();
      if (running_ > 0 || writing_) return StepIfStuck();
      finished_ = true;
      return Step::kFinish;
    }
    SubmitReady();
    if (!writing_ && !messages_.empty() && messages_.front().done) {
      if (messages_.front().error) return Next();
      writing_ = true;
      outgoing_ = &messages_.front().content;
      waiting_since_ = runtime_.Now();
      return Step::kWrite;
    }
    if (read_all_ && messages_.empty()) {
      finished_ = true;
      return Step::kFinish;
    }
    if (!reading_ && !read_all_ && !broken_ && messages_.size() < ReadAhead(runtime_.limits())) {
      reading_ = true;
      return Step::kRead;
    }
    return StepIfStuck();
  }

  // A client that does not take its answers: its call goes.
  Step StepIfStuck() {
    if (!stuck_ || !writing_) return Step::kNone;
    stuck_ = false;
    return Step::kCancel;
  }

  void Do(Step step) {
    switch (step) {
      case Step::kRead:
        return StartRead(&incoming_);
      case Step::kWrite:
        return StartWrite(outgoing_);
      case Step::kCancel:
        return context_.TryCancel();
      case Step::kFinish:
        return Finish(End(failure_ ? Result<>(tl::unexpected(*failure_)) : Result<>()));
      case Step::kNone:
        return;
    }
  }

  // Hands messages to the workers. When their queue is full a stream waits for its own messages
  // that run; one that has none is refused.
  void SubmitReady() {
    while (!broken_ && submitted_ < messages_.size()) {
      Message& message = messages_[submitted_];
      Result<> accepted = runtime_.Submit([this, self = shared_from_this(), &message,
                                           context = MakeContext()] { Work(message, context); });
      if (!accepted) {
        if (running_ > 0 && accepted.error().code == Code::kResourceExhausted) return;
        runtime_.CountRefusal(method_, accepted.error().code);
        Spoil(message, std::move(accepted).error());
        return;
      }
      ++submitted_;
      ++running_;
    }
  }

  void Work(Message& message, const RequestContext& context) {
    Result<GrpcAnswer> answer = runtime_.Answer(method_, {&message.content, 1}, context);
    std::unique_lock lock(mutex_);
    --running_;
    if (answer) {
      message.content.Swap(&answer->message);
      message.done = true;
      ChargeAnyway(message.content.Length());
      message.bytes += message.content.Length();
    } else {
      Spoil(message, std::move(answer).error());
    }
    Act(lock);
  }

  std::mutex mutex_;
  // Guarded by mutex_, but for what belongs to an operation under way: `incoming_` to a read, the
  // front message and `outgoing_` to a write, a submitted message to its worker until it is done.
  grpc::ByteBuffer incoming_;
  const grpc::ByteBuffer* outgoing_ = nullptr;
  std::deque<Message> messages_;  // in the order of the client; references stay valid
  std::size_t submitted_ = 0;     // of messages_, from the front
  std::size_t running_ = 0;       // of those, not done yet
  std::optional<Error> failure_;  // how the stream ends
  bool broken_ = false;           // a message failed: those after it are not wanted
  bool reading_ = false;
  bool read_all_ = false;
  bool writing_ = false;
  bool stuck_ = false;  // the write takes too long
  bool acting_ = false;
  bool finished_ = false;
  SteadyTime waiting_since_;  // for the client to send, or while writing_ to take
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartStreamCall(
    GrpcRuntime& runtime, const GrpcMethod& method, grpc::CallbackServerContext& context) {
  const auto call = std::make_shared<StreamCall>(runtime, method, context);
  call->Start();
  return call.get();
}

}  // namespace garrison
