// Frames of AWS event streams: what comes as it is, which the checksums mostly stop, and the same
// bytes as headers and payload of a frame whose checksums are right.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wire/upstream_chat.h"

namespace {

using namespace garrison;

std::uint32_t Crc(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

std::string Big(std::size_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string Frame(std::size_t headers, std::string_view content) {
  std::string frame = Big(content.size() + 16) + Big(headers);
  frame += Big(Crc(frame));
  frame += content;
  return frame + Big(Crc(frame));
}

std::vector<StreamEvent> Cut(std::string_view bytes, std::size_t piece) {
  std::vector<StreamEvent> events;
  const auto decoder = MakeAwsEventDecoder();
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!decoder->Add(bytes.substr(at, piece), events)) return events;
  }
  static_cast<void>(decoder->Finish(events));
  return events;
}

void Run(std::string_view bytes, std::size_t piece) {
  const auto whole = Cut(bytes, bytes.size() + 1);
  const auto pieces = Cut(bytes, piece);
  CHECK(whole.size() == pieces.size());
  const auto decoder = MakeAnthropicDecoder({});
  std::vector<ChatEvent> events;
  for (const StreamEvent& event : whole) {
    CHECK(IsUtf8(event.name) && IsUtf8(event.data));
    if (!decoder->Decode(event.name, event.data, events)) break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t piece = 1 + data[0] % 32;
  Run(bytes, piece);
  const std::size_t headers = bytes.size() < data[1] ? bytes.size() : data[1];
  Run(Frame(headers, bytes), piece);
  return 0;
}
