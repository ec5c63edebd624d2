#include "core/json.h"

#include <limits>
#include <string>

namespace garrison {
namespace {

// The library parses without recursion but keeps a stack; this bound also protects everything that
// later walks the tree by recursion.
bool DeeperThan(std::string_view text, std::size_t max_depth) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<nlohmann::json> ParseJson(std::string_view text, std::size_t max_depth) {
  if (DeeperThan(text, max_depth)) {
    return Fail(Code::kInvalidArgument, "the JSON is nested deeper than {} levels", max_depth);
  }
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    if (text.empty()) return Fail(Code::kInvalidArgument, "expected JSON, got nothing");
    if (error.byte > text.size()) {
      return Fail(Code::kInvalidArgument, "expected JSON; it ends too early, after {} bytes",
                  text.size());
    }
    return Fail(Code::kInvalidArgument, "expected JSON; it stops making sense at byte {} of {}",
                error.byte, text.size());
  } catch (const nlohmann::json::exception& error) {
    return Fail(Code::kInvalidArgument, "the JSON holds a number that is out of range");
  }
}

std::string_view JsonTypeName(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::null:
      return "null";
    case nlohmann::json::value_t::object:
      return "an object";
    case nlohmann::json::value_t::array:
      return "an array";
    case nlohmann::json::value_t::string:
      return "a string";
    case nlohmann::json::value_t::boolean:
      return "a boolean";
    default:
      return "a number";
  }
}

Result<std::vector<std::int32_t>> JsonTokenIds(const nlohmann::json& list,
                                               const std::string& where) {
  if (!list.is_array()) {
    return FailAt(where, Code::kInvalidArgument, "expected a list of token ids, got {}",
                  JsonTypeName(list));
  }
  std::vector<std::int32_t> ids;
  ids.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const nlohmann::json& id = list[i];
    const std::string place = fmt::format("{}[{}]", where, i);
    if (!id.is_number_integer()) {
      return FailAt(place, Code::kInvalidArgument, "expected a token id (a whole number), got {}",
                    JsonTypeName(id));
    }
    constexpr std::uint64_t kIdMax = std::numeric_limits<std::int32_t>::max();
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kIdMax) {
      return FailAt(place, Code::kInvalidArgument, "expected a token id from 0 to {}, got {}",
                    kIdMax, id.dump());
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

std::string DumpJson(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace garrison
