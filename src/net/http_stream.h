// The body of a streamed answer on its way from the handler that makes it to the connection that
// sends it. Private to net/.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "net/http.h"

namespace garrison {

// Thread-safe. The connection always closes it, or takes all of it, in the end: what the handler
// waits for comes from the connection alone.
class BodyPipe {
 public:
  enum class State { kOpen, kFinished, kAbandoned };
  struct Piece {
    std::string bytes;
    State state = State::kOpen;  // after these bytes
  };

  // More than `limit` unsent bytes hold up Write. `in_flight` is charged with what is unsent and
  // not touched after Close. To be constructed on the server's thread.
  BodyPipe(std::size_t limit, std::atomic<std::uint64_t>& in_flight);

  // The handler's side, as BodyStream says. Open comes first. `wake` tells the connection to Take;
  // it is called under the mutex and never after Close, so it may use what dies with the server.
  void Open(std::string first, std::function<void()> wake);
  Result<> Write(std::string bytes);
  Result<> Finish();
  void Abandon();  // nothing after Finish

  // The connection's side; never waits. Bytes that were taken are unsent until Sent.
  Piece Take();
  void Sent(std::size_t bytes);
  // What was and will be written is dropped, but Write succeeds. Not after Take.
  void Drop();
  // From now on the handler's calls fail with `error`. The first error stays.
  void Close(Error error);

 private:
  void Add(std::string bytes);
  void Wake();

  const std::size_t limit_;
  const std::thread::id server_thread_;
  std::atomic<std::uint64_t>& in_flight_;

  std::mutex mutex_;
  std::condition_variable room_;
  // Guarded by mutex_.
  std::function<void()> wake_;
  bool woken_ = false;  // since the last Take
  bool dropping_ = false;
  std::string waiting_;
  std::size_t unsent_ = 0;  // waiting_ and what was taken
  State state_ = State::kOpen;
  std::optional<Error> closed_;
};

class PipeStream final : public BodyStream {
 public:
  PipeStream(std::shared_ptr<BodyPipe> pipe, std::stop_source stop)
      : pipe_(std::move(pipe)), stop_(std::move(stop)) {}
  ~PipeStream() override { pipe_->Abandon(); }
  Result<> Write(std::string bytes) override { return Checked(pipe_->Write(std::move(bytes))); }
  Result<> Finish() override { return Checked(pipe_->Finish()); }

 private:
  // The connection closes the pipe before it requests the stop, so that nothing is written after a
  // stop. Who meets the closed pipe in between must find the stop requested all the same.
  Result<> Checked(Result<> result) {
    if (!result) stop_.request_stop();
    return result;
  }

  const std::shared_ptr<BodyPipe> pipe_;
  std::stop_source stop_;
};

// Puts a piece behind `out` as it goes over the wire: in chunks with the last one at the end, or
// bare.
void AppendPiece(std::string& out, const BodyPipe::Piece& piece, bool chunked);

}  // namespace garrison
