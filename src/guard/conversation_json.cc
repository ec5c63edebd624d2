// The JSON dialects of a conversation.
#include <array>

#include "core/json.h"
#include "guard/conversation_builder.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

using nlohmann::json;

// The first of `keys` that `entry` has; null if it has none.
template <std::size_t N>
const char* FirstKey(const json& entry, const std::array<const char*, N>& keys) {
  for (const char* key : keys) {
    if (entry.contains(key)) return key;
  }
  return nullptr;
}

constexpr std::array kListKeys = {"conversation", "turns", "messages"};
constexpr std::array kNumberKeys = {"turn", "turn_number"};
constexpr std::array kSpeakerKeys = {"speaker", "role"};
constexpr std::array kTextKeys = {"message", "content", "text"};

// One entry of the list with its place, for errors.
struct Entry {
  const json& value;
  std::string path;  // "conversation[4]"

  std::string At(std::string_view key) const { return fmt::format("{}.{}", path, key); }
};

Result<std::optional<std::int64_t>> NumberOf(const Entry& entry,
                                             const ConversationBuilder& builder) {
  const char* key = FirstKey(entry.value, kNumberKeys);
  if (key == nullptr || entry.value[key].is_null()) return std::optional<std::int64_t>();
  const json& number = entry.value[key];
  if (!number.is_number_integer()) {
    return builder.FailTurn(builder.NextTurn(), entry.At(key),
                            "expected a whole number, got {} ({})", JsonTypeName(number),
                            Excerpt(number.dump()));
  }
  if (number.is_number_unsigned() && number.get<std::uint64_t>() > INT64_MAX)
    return std::optional(INT64_MAX);
  return std::optional(number.get<std::int64_t>());
}

Result<std::string> JoinParts(const json& parts, const std::string& where,
                              const ConversationBuilder& builder) {
  std::string text;
  bool any = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const json& part = parts[i];
    const std::string part_where = fmt::format("{}[{}]", where, i);
    if (!part.is_object() || !part.contains("type") || !part["type"].is_string()) {
      return builder.FailTurn(builder.NextTurn(), part_where,
                              "expected a content part with a type, got {}", JsonTypeName(part));
    }
    const auto& type = part["type"].get_ref<const std::string&>();
    if (type != "text" && type != "input_text" && type != "output_text") continue;
    if (!part.contains("text") || !part["text"].is_string()) {
      return builder.FailTurn(builder.NextTurn(), part_where + ".text",
                              "expected the text of the part");
    }
    if (any) text += '\n';
    any = true;
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

// A string, or a list of content parts whose texts are joined line by line.
Result<std::string> TextOf(const json& value, const std::string& where,
                           const ConversationBuilder& builder) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) return JoinParts(value, where, builder);
  return builder.FailTurn(builder.NextTurn(), where, "expected a string, got {}",
                          JsonTypeName(value));
}

// An assistant's call of a tool has no words of its own.
bool IsToolCall(const json& entry, const char* text_key) {
  return (text_key == nullptr || entry[text_key].is_null()) && entry.contains("tool_calls");
}

Result<> AddMessageEntry(const Entry& entry, const char* speaker_key,
                         ConversationBuilder& builder) {
  const json& name = entry.value[speaker_key];
  if (!name.is_string()) {
    return builder.FailTurn(builder.NextTurn(), entry.At(speaker_key), "expected a string, got {}",
                            JsonTypeName(name));
  }
  const auto speaker = SpeakerFrom(name.get_ref<const std::string&>());
  if (!speaker) {
    return builder.FailTurn(builder.NextTurn(), entry.At(speaker_key),
                            "expected the speaker {}, got \"{}\"", kSpeakerNames,
                            Excerpt(name.get_ref<const std::string&>()));
  }
  const char* text_key = FirstKey(entry.value, kTextKeys);
  if (*speaker == Speaker::kSkipped || IsToolCall(entry.value, text_key)) {
    builder.SkipSystem();
    return {};
  }
  if (text_key == nullptr) {
    const bool openai = std::string_view(speaker_key) == "role";
    return builder.FailTurn(builder.NextTurn(), entry.At(openai ? "content" : "message"),
                            "expected a message, got none");
  }
  ASSIGN_OR_RETURN(const auto number, NumberOf(entry, builder));
  ASSIGN_OR_RETURN(std::string text, TextOf(entry.value[text_key], entry.At(text_key), builder));
  const char* number_key = FirstKey(entry.value, kNumberKeys);
  return builder.AddMessage(*speaker, number, std::move(text),
                            entry.At(number_key == nullptr ? "turn" : number_key),
                            entry.At(text_key));
}

Result<std::optional<std::string>> SideOf(const Entry& entry, const char* key,
                                          const ConversationBuilder& builder) {
  if (!entry.value.contains(key) || entry.value[key].is_null()) return std::optional<std::string>();
  ASSIGN_OR_RETURN(std::string text, TextOf(entry.value[key], entry.At(key), builder));
  if (Trim(text).empty()) {
    return builder.FailTurn(builder.NextTurn(), entry.At(key),
                            "expected a message, got an empty text; remove it or fill it in");
  }
  return std::optional(std::move(text));
}

Result<> AddPairEntry(const Entry& entry, ConversationBuilder& builder) {
  ASSIGN_OR_RETURN(const auto number, NumberOf(entry, builder));
  ASSIGN_OR_RETURN(auto user, SideOf(entry, "user", builder));
  ASSIGN_OR_RETURN(auto model, SideOf(entry, "model", builder));
  return builder.AddPair(number, std::move(user), std::move(model), entry.path);
}

Result<> AddEntry(const Entry& entry, ConversationBuilder& builder) {
  if (!entry.value.is_object()) {
    return builder.FailTurn(builder.NextTurn(), entry.path, "expected an object, got {}",
                            JsonTypeName(entry.value));
  }
  const char* speaker_key = FirstKey(entry.value, kSpeakerKeys);
  if (speaker_key != nullptr) return AddMessageEntry(entry, speaker_key, builder);
  if (entry.value.contains("user") || entry.value.contains("model"))
    return AddPairEntry(entry, builder);
  return builder.FailTurn(builder.NextTurn(), entry.path,
                          "expected speaker and message, role and content, or user and model");
}

struct EntryList {
  const json* list;
  std::string name;  // "" for a bare array
};

Result<EntryList> FindList(const json& root) {
  if (root.is_array()) return EntryList{&root, ""};
  EntryList found{nullptr, ""};
  for (const char* key : kListKeys) {
    if (!root.contains(key) || !root[key].is_array()) continue;
    if (found.list != nullptr) {
      return FailAt(key, Code::kInvalidArgument, "expected one list of messages, got {} and {}",
                    found.name, key);
    }
    found = {&root[key], key};
  }
  if (found.list == nullptr) {
    return Fail(
        Code::kInvalidArgument,
        "expected a list named conversation, turns or messages, or a bare list of messages");
  }
  return found;
}

}  // namespace

Result<> AddJsonEntries(std::string_view bytes, const LimitSettings& limits,
                        ConversationBuilder& builder) {
  ASSIGN_OR_RETURN(const json root, ParseJson(bytes, static_cast<std::size_t>(limits.json_depth)));
  ASSIGN_OR_RETURN(const EntryList entries, FindList(root));
  if (entries.list->empty()) {
    return FailAt(entries.name, Code::kInvalidArgument,
                  "expected at least one message of the user or the model, got an empty list");
  }
  for (std::size_t i = 0; i < entries.list->size(); ++i) {
    RETURN_IF_ERROR(
        AddEntry({(*entries.list)[i], fmt::format("{}[{}]", entries.name, i)}, builder));
  }
  return {};
}

}  // namespace garrison
