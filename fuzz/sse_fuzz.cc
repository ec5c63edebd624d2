// The encoder of server-sent events against a decoder written from the standard: a client sees the
// data that was sent, its line breaks as \n, in exactly one event.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "wire/sse.h"

namespace {

std::string Normalized(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
      continue;
    }
    out += '\n';
    if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
  }
  return out;
}

// WHATWG HTML, 9.2.6: the data of each event of a stream.
std::vector<std::string> Events(const std::string& stream) {
  std::vector<std::string> events;
  std::string data;
  bool any = false;
  std::size_t begin = 0;
  for (std::size_t end; (end = stream.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string_view line(stream.data() + begin, end - begin);
    if (line.empty()) {
      if (any) events.push_back(data.substr(0, data.size() - 1));
      data.clear();
      any = false;
    } else if (line.starts_with("data:")) {
      line.remove_prefix(5);
      if (line.starts_with(' ')) line.remove_prefix(1);
      data.append(line).push_back('\n');
      any = true;
    }
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string event = garrison::EncodeSseEvent(text, "delta", "7");
  CHECK(event.find('\r') == std::string::npos);
  CHECK(Events(event) == std::vector<std::string>{Normalized(text)});
  CHECK(Events(garrison::EncodeSseComment(text) + event) ==
        std::vector<std::string>{Normalized(text)});
  return 0;
}
