#include "wire/chat_json.h"

#include <algorithm>
#include <utility>

#include "core/json.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kDepthMax = 128;

bool IsBase64(std::string_view text) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), ok);
}

}  // namespace

Result<std::string> ObjectText(const Fields& fields, const char* name) {
  const Json* field = fields.Find(name);
  if (field == nullptr) return std::string();
  if (!field->is_object()) return WrongType(fields.Place(name), "a JSON object", *field);
  return DumpJson(*field);
}

OrderedJson ObjectOf(std::string_view text) {
  const Result<Json> json = ParseJson(text, kDepthMax);
  return json && json->is_object() ? OrderedJson(*json) : OrderedJson::object();
}

OrderedJson ToolInput(std::string_view arguments) {
  if (arguments.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return OrderedJson::object();
  }
  const Result<Json> json = ParseJson(arguments, kDepthMax);
  if (json && json->is_object()) return OrderedJson(*json);
  return {{"INVALID_JSON", arguments}};
}

Result<ChatImage> ImageOfUrl(std::string_view url, const std::string& where) {
  ChatImage image;
  if (url.starts_with("https://") || url.starts_with("http://")) {
    image.url = url;
    return image;
  }
  constexpr std::string_view kScheme = "data:";
  constexpr std::string_view kBase64 = ";base64";
  const std::size_t comma = url.find(',');
  if (url.starts_with(kScheme) && comma != std::string_view::npos) {
    std::string_view type = url.substr(kScheme.size(), comma - kScheme.size());
    const std::string_view data = url.substr(comma + 1);
    if (type.ends_with(kBase64) && type.starts_with("image/") && IsBase64(data)) {
      type.remove_suffix(kBase64.size());
      image.media_type = type.substr(0, type.find(';'));
      image.data = data;
      return image;
    }
  }
  return FailAt(where, Code::kInvalidArgument,
                "expected an address that begins with https:// or an image as "
                "data:image/TYPE;base64,...");
}

}  // namespace garrison
