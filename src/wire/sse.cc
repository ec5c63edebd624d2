#include "wire/sse.h"

#include <cstddef>

#include "base/check.h"

namespace garrison {
namespace {

// One field line per line of `text`, at least one. The space keeps one that `text` begins with.
void AppendLines(std::string& out, std::string_view field, std::string_view text) {
  while (true) {
    const std::size_t end = text.find_first_of("\r\n");
    out += field;
    out += ": ";
    out += text.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

void AppendName(std::string& out, std::string_view field, std::string_view name) {
  if (name.empty()) return;
  CHECK(name.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  AppendLines(out, field, name);
}

}  // namespace

std::string EncodeSseEvent(std::string_view data, std::string_view event, std::string_view id) {
  std::string text;
  text.reserve(data.size() + event.size() + id.size() + 32);
  AppendName(text, "event", event);
  AppendName(text, "id", id);
  AppendLines(text, "data", data);
  text += '\n';
  return text;
}

std::string EncodeSseComment(std::string_view text) {
  std::string comment;
  AppendLines(comment, "", text);
  comment += '\n';
  return comment;
}

}  // namespace garrison
