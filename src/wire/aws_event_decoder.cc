// application/vnd.amazon.eventstream: frames of length, headers, payload and two CRC-32.
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "base/base64.h"
#include "core/json.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kFrameMax = std::size_t{16} << 20;
constexpr std::size_t kHeadersMax = std::size_t{128} << 10;
constexpr std::size_t kPrelude = 12;
constexpr std::size_t kAround = kPrelude + 4;  // of headers and payload

// Reflected, polynomial 0xedb88320: that of gzip and Ethernet.
constexpr std::array<std::uint32_t, 256> MakeCrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr auto kCrcTable = MakeCrcTable();

std::uint32_t Crc32(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc = kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  }
  return ~crc;
}

// REQUIRES: `bytes` has `size` of them.
std::uint32_t BigEndian(std::string_view bytes, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// The headers that say what a frame is; all others are walked over.
struct Headers {
  std::string_view message_type;
  std::string_view event_type;
  std::string_view exception_type;
  std::string_view error_code;
  std::string_view error_message;
};

// The size of a header's value and of what stands before it; nothing for a type there is not.
struct Extent {
  std::size_t prefix = 0;
  std::size_t size = 0;
};
std::optional<Extent> ExtentOf(unsigned type, std::string_view rest) {
  switch (type) {
    case 0:  // true
    case 1:  // false
      return Extent{};
    case 2:  // byte
      return Extent{0, 1};
    case 3:  // short
      return Extent{0, 2};
    case 4:  // integer
      return Extent{0, 4};
    case 5:  // long
    case 8:  // timestamp
      return Extent{0, 8};
    case 6:  // bytes
    case 7:  // string
      if (rest.size() < 2) return std::nullopt;
      return Extent{2, BigEndian(rest, 2)};
    case 9:  // UUID
      return Extent{0, 16};
    default:
      return std::nullopt;
  }
}

std::optional<Headers> ReadHeaders(std::string_view bytes) {
  Headers headers;
  while (!bytes.empty()) {
    const std::size_t name_size = static_cast<unsigned char>(bytes.front());
    if (name_size == 0 || bytes.size() < name_size + 2) return std::nullopt;
    const std::string_view name = bytes.substr(1, name_size);
    const unsigned type = static_cast<unsigned char>(bytes[name_size + 1]);
    bytes.remove_prefix(name_size + 2);
    const std::optional<Extent> extent = ExtentOf(type, bytes);
    if (!extent || bytes.size() < extent->prefix + extent->size) return std::nullopt;
    const std::string_view value = bytes.substr(extent->prefix, extent->size);
    bytes.remove_prefix(extent->prefix + extent->size);
    if (type != 7) continue;
    if (name == ":message-type") headers.message_type = value;
    if (name == ":event-type") headers.event_type = value;
    if (name == ":exception-type") headers.exception_type = value;
    if (name == ":error-code") headers.error_code = value;
    if (name == ":error-message") headers.error_message = value;
  }
  return headers;
}

class AwsDecoder final : public EventDecoder {
 public:
  Result<> Add(std::string_view bytes, std::vector<StreamEvent>& events) override {
    if (broken_) return Fail(Code::kUnavailable, "the stream of frames broke off before");
    buffer_ += bytes;
    std::size_t done = 0;
    while (buffer_.size() - done >= kPrelude) {
      const std::string_view rest = std::string_view(buffer_).substr(done);
      const std::size_t total = BigEndian(rest, 4);
      const std::size_t headers = BigEndian(rest.substr(4), 4);
      if (Crc32(rest.substr(0, 8)) != BigEndian(rest.substr(8), 4)) {
        return Break("the checksum of a frame's prelude is wrong");
      }
      if (total > kFrameMax) return Break("a frame of the stream is larger than 16 MiB");
      if (total < kAround || headers > kHeadersMax || headers > total - kAround) {
        return Break("the lengths of a frame do not fit");
      }
      if (rest.size() < total) break;
      RETURN_IF_ERROR(Frame(rest.substr(0, total), headers, events));
      done += total;
    }
    buffer_.erase(0, done);
    return {};
  }

  Result<> Finish(std::vector<StreamEvent>&) override {
    if (broken_) return Fail(Code::kUnavailable, "the stream of frames broke off before");
    if (buffer_.empty()) return {};
    return Break("the stream of frames ends within one");
  }

 private:
  tl::unexpected<Error> Break(std::string_view why) {
    broken_ = true;
    const auto error = Fail(Code::kUnavailable, "{}", why);
    buffer_ = {};
    return error;
  }

  Result<> Frame(std::string_view frame, std::size_t headers_size,
                 std::vector<StreamEvent>& events) {
    const std::size_t end = frame.size() - 4;
    if (Crc32(frame.substr(0, end)) != BigEndian(frame.substr(end), 4)) {
      return Break("the checksum of a frame is wrong");
    }
    const auto headers = ReadHeaders(frame.substr(kPrelude, headers_size));
    if (!headers) return Break("the headers of a frame make no sense");
    const std::string_view payload =
        frame.substr(kPrelude + headers_size, end - kPrelude - headers_size);
    if (headers->message_type == "event") {
      // AWS may add kinds of events.
      return headers->event_type == "chunk" ? Chunk(payload, events) : Result<>();
    }
    StreamEvent event;
    if (headers->message_type == "exception") {
      event = {std::string("exception:").append(headers->exception_type), std::string(payload)};
    } else if (headers->message_type == "error") {
      event = {std::string("exception:").append(headers->error_code),
               DumpJson({{"message", headers->error_message}})};
    } else {
      return Break("a frame is neither an event nor an exception");
    }
    if (!IsUtf8(event.name) || !IsUtf8(event.data)) return Break("a frame's text is no UTF-8");
    events.push_back(std::move(event));
    return {};
  }

  Result<> Chunk(std::string_view payload, std::vector<StreamEvent>& events) {
    const Result<Json> outer = ParseUpstreamJson(payload);
    if (!outer || !outer->is_object()) return Break("the payload of a frame is no JSON object");
    const auto bytes = outer->find("bytes");
    if (bytes == outer->end() || !bytes->is_string()) {
      return Break("the payload of a frame has no \"bytes\"");
    }
    std::optional<std::string> data = DecodeBase64(bytes->get_ref<const std::string&>());
    if (!data) return Break("the \"bytes\" of a frame are no base64");
    const Result<Json> inner = ParseUpstreamJson(*data);
    if (!inner || !inner->is_object()) return Break("the event of a frame is no JSON object");
    const auto type = inner->find("type");
    const bool named = type != inner->end() && type->is_string();
    events.push_back({named ? type->get<std::string>() : "message", *std::move(data)});
    return {};
  }

  std::string buffer_;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<EventDecoder> MakeAwsEventDecoder() { return std::make_unique<AwsDecoder>(); }

}  // namespace garrison
