#include "providers/chat_reader.h"

#include <algorithm>
#include <utility>

namespace garrison {
namespace {

using std::chrono::milliseconds;

// How soon it is seen that the client has left, where the call itself is not cut for it.
constexpr milliseconds kLook{200};
// For the last bytes behind the end: with them the connection can be used again.
constexpr milliseconds kTail{100};

bool IsJson(const std::vector<HttpHeader>& headers) {
  return FindHeader(headers, "content-type").starts_with("application/json");
}

}  // namespace

ChatReader::ChatReader(VendorLine& line, const ChatVendor& vendor, HttpReplyStream& stream,
                       ChatSink& sink, ChatServed served, const RequestContext& context,
                       SteadyTime asked)
    : line_(line),
      stream_(stream),
      sink_(sink),
      context_(context),
      events_(vendor.MakeEvents()),
      decoder_(vendor.MakeDecoder()),
      served_(std::move(served)),
      until_(asked + line.options().first_content) {}

Result<> ChatReader::Read() {
  Result<> read = IsJson(stream_.headers()) ? ReadWhole() : ReadEvents();
  if (!finished()) {
    if (left_) return tl::unexpected(*left_);
    if (!read) return read;
    return Unusable(FailureClass::kNetwork, "the answer was cut before its end");
  }
  failure_.reset();  // what came behind the end
  if (!begun_ && !left_) Begin();
  if (left_) return tl::unexpected(*left_);
  return {};
}

// Empty at the end of the body.
Result<std::string> ChatReader::ReadPiece() {
  const milliseconds drain = line_.options().drain;
  for (;;) {
    if (!left_ && context_.stop.stop_requested()) {
      Leave(context_.Check(line_.clock().Now()).error());
    }
    if (left_ && drain.count() == 0) return tl::unexpected(*left_);
    const auto rest = std::chrono::ceil<milliseconds>(until_ - line_.clock().Now());
    if (rest.count() <= 0) {
      return FailAt(begun_ ? "content_idle" : "first_content", Code::kDeadlineExceeded,
                    "nothing of the answer came in time");
    }
    const bool looks = !left_ && drain.count() > 0;
    Result<std::string> piece = stream_.Read(looks ? std::min(rest, kLook) : rest);
    const bool waited =
        !piece && piece.error().code == Code::kDeadlineExceeded && piece.error().where != "total";
    if (!waited) return piece;
  }
}

Result<> ChatReader::ReadEvents() {
  std::vector<StreamEvent> events;
  while (!finished()) {
    ASSIGN_OR_RETURN(const std::string piece, ReadPiece());
    events.clear();
    const bool over = piece.empty();
    const Result<> added = over ? events_->Finish(events) : events_->Add(piece, events);
    RETURN_IF_ERROR(Decode(events));
    if (finished()) break;
    if (!added) {
      return Unusable(over ? FailureClass::kNetwork : FailureClass::kBadReply,
                      added.error().message);
    }
    if (over) return {};
  }
  static_cast<void>(stream_.Read(kTail));
  return {};
}

Result<> ChatReader::ReadWhole() {
  std::string body;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string piece, ReadPiece());
    if (piece.empty()) break;
    body += piece;
  }
  std::vector<ChatEvent> events;
  const Result<> decoded = decoder_->DecodeWhole(body, events);
  produced_ = produced_ || !events.empty();
  if (decoded) {
    Deliver(events);
    return {};
  }
  failure_ = decoder_->failure();
  if (!failure_) return Unusable(FailureClass::kBadReply, decoded.error().message);
  return decoded;
}

Result<> ChatReader::Decode(const std::vector<StreamEvent>& events) {
  std::vector<ChatEvent> meant;
  for (const StreamEvent& event : events) {
    if (finished()) break;
    meant.clear();
    const Result<> decoded = decoder_->Decode(event.name, event.data, meant);
    produced_ = produced_ || !meant.empty();
    if (!decoded) {
      failure_ = decoder_->failure();
      if (!failure_) return Unusable(FailureClass::kBadReply, decoded.error().message);
      return decoded;
    }
    Deliver(meant);
  }
  return {};
}

void ChatReader::Deliver(const std::vector<ChatEvent>& events) {
  if (events.empty() || left_) return;
  if (!begun_) {
    line_.Began();
    Begin();
  }
  for (const ChatEvent& event : events) {
    if (left_) return;
    if (Result<> taken = sink_.Take(event); !taken) Leave(std::move(taken).error());
  }
  // After the sink: the time that the client takes is not the vendor's.
  if (!left_) until_ = line_.clock().Now() + line_.options().content_idle;
}

void ChatReader::Begin() {
  begun_ = true;
  served_.model = decoder_->model();
  served_.id = decoder_->id();
  if (Result<> taken = sink_.Begin(served_); !taken) Leave(std::move(taken).error());
}

void ChatReader::Leave(Error error) {
  left_ = std::move(error);
  until_ = line_.clock().Now() + line_.options().drain;
}

tl::unexpected<Error> ChatReader::Unusable(FailureClass kind, const std::string& why) {
  failure_ = UpstreamFailure{kind, why};
  return Fail(Code::kUnavailable, "{}", why);
}

}  // namespace garrison
