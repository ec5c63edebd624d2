// Reads one streamed answer to its end and hands it on as it comes.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/chat.h"
#include "core/request_context.h"
#include "net/http_client.h"
#include "providers/chat_vendor.h"
#include "providers/vendor_line.h"

namespace garrison {

// For one reply with status 200, one thread. What it is given must outlive it.
class ChatReader {
 public:
  // `asked`: when the request left. `served` goes to the sink with what the reply adds to it.
  ChatReader(VendorLine& line, const ChatVendor& vendor, HttpReplyStream& stream, ChatSink& sink,
             ChatServed served, const RequestContext& context, SteadyTime asked);

  // Returns at the orderly end, or when nothing more is wanted or comes. Errors: `left()`;
  // `failure()`, as what the vendor said or gave wrongly; otherwise those of HttpClient.
  Result<> Read();

  // The sink has taken something: nobody else may answer.
  bool begun() const { return begun_; }
  // The vendor has made something, whether or not anybody took it.
  bool produced() const { return produced_; }
  // The orderly end has come, whoever still listened.
  bool finished() const { return decoder_->finished(); }
  // Why nobody listens any more.
  const std::optional<Error>& left() const { return left_; }
  const std::optional<UpstreamFailure>& failure() const { return failure_; }
  const ChatServed& served() const { return served_; }
  const ChatEnd& end() const { return decoder_->end(); }

 private:
  Result<> ReadEvents();
  Result<> ReadWhole();
  Result<std::string> ReadPiece();
  Result<> Decode(const std::vector<StreamEvent>& events);
  void Deliver(const std::vector<ChatEvent>& events);
  void Begin();
  void Leave(Error error);
  tl::unexpected<Error> Unusable(FailureClass kind, const std::string& why);

  VendorLine& line_;
  HttpReplyStream& stream_;
  ChatSink& sink_;
  const RequestContext& context_;
  const std::unique_ptr<EventDecoder> events_;
  const std::unique_ptr<UpstreamChatDecoder> decoder_;
  ChatServed served_;
  SteadyTime until_;  // for more content, or for anything once nobody listens
  bool begun_ = false;
  bool produced_ = false;
  std::optional<Error> left_;
  std::optional<UpstreamFailure> failure_;
};

}  // namespace garrison
