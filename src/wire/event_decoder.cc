// text/event-stream, as the WHATWG's HTML standard (9.2.6) interprets it.
#include <algorithm>
#include <string>
#include <utility>

#include "wire/upstream_chat.h"

namespace garrison {
namespace {

constexpr std::size_t kEventMax = std::size_t{16} << 20;

class SseDecoder final : public EventDecoder {
 public:
  Result<> Add(std::string_view bytes, std::vector<StreamEvent>& events) override {
    if (broken_) return Fail(Code::kUnavailable, "the stream of events broke off before");
    while (!bytes.empty()) {
      // The second half of a \r\n, which may come in another piece.
      if (after_cr_ && bytes.front() == '\n') {
        after_cr_ = false;
        bytes.remove_prefix(1);
        continue;
      }
      after_cr_ = false;
      const std::size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
      RETURN_IF_ERROR(Grow(bytes.substr(0, end)));
      if (end == bytes.size()) break;
      after_cr_ = bytes[end] == '\r';
      bytes.remove_prefix(end + 1);
      RETURN_IF_ERROR(EndLine(events));
    }
    return {};
  }

  Result<> Finish(std::vector<StreamEvent>&) override {
    if (broken_) return Fail(Code::kUnavailable, "the stream of events broke off before");
    const bool comment = line_.starts_with(':');
    if ((line_.empty() || comment) && !has_data_) return {};
    return Break("the stream of events ends within one");
  }

 private:
  tl::unexpected<Error> Break(std::string_view why) {
    broken_ = true;
    line_ = {};
    data_ = {};
    return Fail(Code::kUnavailable, "{}", why);
  }

  Result<> Grow(std::string_view piece) {
    // Nothing of a comment is kept.
    if (line_.empty() && piece.starts_with(':')) line_ = ":";
    if (line_.starts_with(':')) return {};
    if (line_.size() + piece.size() + data_.size() > kEventMax) {
      return Break("an event of the stream is larger than 16 MiB");
    }
    line_ += piece;
    return {};
  }

  Result<> EndLine(std::vector<StreamEvent>& events) {
    std::string_view line = line_;
    if (first_line_ && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    first_line_ = false;
    if (line.empty()) {
      line_.clear();
      return Dispatch(events);
    }
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "data") {
      if (has_data_) data_ += '\n';
      data_ += value;
      has_data_ = true;
    } else if (field == "event") {
      name_ = value;
    }
    line_.clear();
    return {};
  }

  Result<> Dispatch(std::vector<StreamEvent>& events) {
    std::string name = std::exchange(name_, "");
    if (!has_data_) return {};
    has_data_ = false;
    if (!IsUtf8(data_) || !IsUtf8(name)) return Break("the stream of events is no UTF-8");
    events.push_back({name.empty() ? "message" : std::move(name), std::exchange(data_, "")});
    return {};
  }

  std::string line_;
  std::string data_;
  std::string name_;
  bool has_data_ = false;
  bool first_line_ = true;
  bool after_cr_ = false;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<EventDecoder> MakeSseDecoder() { return std::make_unique<SseDecoder>(); }

}  // namespace garrison
