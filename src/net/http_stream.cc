#include "net/http_stream.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "base/check.h"

namespace garrison {

BodyPipe::BodyPipe(std::size_t limit, std::atomic<std::uint64_t>& in_flight)
    : limit_(limit), server_thread_(std::this_thread::get_id()), in_flight_(in_flight) {}

void BodyPipe::Open(std::string first, std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  wake_ = std::move(wake);
  Add(std::move(first));
}

Result<> BodyPipe::Write(std::string bytes) {
  // The server's thread would wait for itself.
  CHECK(std::this_thread::get_id() != server_thread_);
  std::unique_lock lock(mutex_);
  CHECK(state_ == State::kOpen);
  if (!closed_) Add(std::move(bytes));
  room_.wait(lock, [this] { return closed_ || unsent_ <= limit_; });
  if (closed_) return tl::unexpected(*closed_);
  return {};
}

Result<> BodyPipe::Finish() {
  const std::lock_guard lock(mutex_);
  CHECK(state_ == State::kOpen);
  state_ = State::kFinished;
  if (closed_) return tl::unexpected(*closed_);
  Wake();
  return {};
}

void BodyPipe::Abandon() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kOpen) return;
  state_ = State::kAbandoned;
  Wake();
}

BodyPipe::Piece BodyPipe::Take() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  return {std::exchange(waiting_, {}), state_};
}

void BodyPipe::Sent(std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    unsent_ -= bytes;
    in_flight_ -= bytes;
  }
  room_.notify_all();
}

void BodyPipe::Drop() {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    dropping_ = true;
    waiting_ = {};
    in_flight_ -= std::exchange(unsent_, 0);
  }
  room_.notify_all();
}

void BodyPipe::Close(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = std::move(error);
    wake_ = nullptr;
    waiting_ = {};
    in_flight_ -= std::exchange(unsent_, 0);
  }
  room_.notify_all();
}

void BodyPipe::Add(std::string bytes) {
  if (dropping_ || bytes.empty()) return;
  const std::size_t size = bytes.size();
  if (waiting_.empty()) {
    waiting_ = std::move(bytes);
  } else {
    waiting_ += bytes;
  }
  unsent_ += size;
  in_flight_ += size;
  Wake();
}

void BodyPipe::Wake() {
  if (woken_ || wake_ == nullptr) return;
  wake_();
  woken_ = true;
}

void AppendPiece(std::string& out, const BodyPipe::Piece& piece, bool chunked) {
  if (!chunked) {
    out += piece.bytes;
    return;
  }
  // A chunk of no bytes would be the last one.
  if (!piece.bytes.empty()) {
    fmt::format_to(std::back_inserter(out), "{:x}\r\n", piece.bytes.size());
    out += piece.bytes;
    out += "\r\n";
  }
  if (piece.state == BodyPipe::State::kFinished) out += "0\r\n\r\n";
}

}  // namespace garrison
