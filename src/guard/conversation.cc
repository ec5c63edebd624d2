#include "guard/conversation.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "guard/conversation_builder.h"
#include "guard/text_scan.h"

namespace garrison {

std::optional<Speaker> SpeakerFrom(std::string_view name) {
  constexpr std::array<std::string_view, 3> kUser = {"user", "human", "u"};
  constexpr std::array<std::string_view, 6> kModel = {"model",     "llm", "ai",
                                                      "assistant", "m",   "bot"};
  constexpr std::array<std::string_view, 4> kSkipped = {"system", "developer", "tool", "function"};
  const std::string lower = Lower(Trim(name));
  const auto in = [&](const auto& names) {
    return std::find(names.begin(), names.end(), lower) != names.end();
  };
  if (in(kUser)) return Speaker::kUser;
  if (in(kModel)) return Speaker::kModel;
  if (in(kSkipped)) return Speaker::kSkipped;
  return std::nullopt;
}

int ConversationBuilder::NextTurn() const {
  const int size = static_cast<int>(conversation_.turns.size());
  return open_ ? size : size + 1;
}

Result<> ConversationBuilder::CheckNumber(std::optional<std::int64_t> number, bool may_repeat,
                                          int turn, const std::string& where) {
  if (!number) return {};
  if (*number < 0 || *number > std::numeric_limits<int>::max()) {
    return FailTurn(turn, where, "expected a turn number from 0 to {}, got {}",
                    std::numeric_limits<int>::max(), *number);
  }
  if (last_number_ && *number < *last_number_) {
    return FailTurn(turn, where,
                    "the turn number goes back from {} to {}; sort the turns by number",
                    *last_number_, *number);
  }
  if (last_number_ == number && !may_repeat) {
    return FailTurn(
        turn, where,
        "the turn number {} repeats; only a user message and the reply to it may share one",
        *number);
  }
  last_number_ = number;
  return {};
}

Result<> ConversationBuilder::CheckText(const std::string& text, int turn,
                                        const std::string& where) const {
  if (Trim(text).empty()) {
    return FailTurn(turn, where, "expected a message, got an empty text; remove it or fill it in");
  }
  if (text.find('\0') != std::string::npos) {
    return FailTurn(turn, where, "expected a message, got one with a NUL character in it");
  }
  return {};
}

Result<> ConversationBuilder::Open() {
  const auto number = static_cast<std::int64_t>(conversation_.turns.size()) + 1;
  if (number > turns_max_) {
    return FailAt(fmt::format("turn {}", number), Code::kInvalidArgument,
                  "expected at most {} turns, got more; split the conversation or raise "
                  "limits.conversation_turns",
                  turns_max_);
  }
  conversation_.turns.push_back({static_cast<int>(number), std::nullopt, std::nullopt});
  return {};
}

Result<> ConversationBuilder::AddMessage(Speaker speaker, std::optional<std::int64_t> number,
                                         std::string text, const std::string& number_where,
                                         const std::string& text_where) {
  const bool closes = open_ && speaker == Speaker::kModel;
  const int turn = static_cast<int>(conversation_.turns.size()) + (closes ? 0 : 1);
  RETURN_IF_ERROR(CheckNumber(number, closes, turn, number_where));
  RETURN_IF_ERROR(CheckText(text, turn, text_where));
  if (!closes) RETURN_IF_ERROR(Open());
  Turn& last = conversation_.turns.back();
  (speaker == Speaker::kUser ? last.user : last.model) = std::move(text);
  open_ = speaker == Speaker::kUser;
  return {};
}

Result<> ConversationBuilder::AddPair(std::optional<std::int64_t> number,
                                      std::optional<std::string> user,
                                      std::optional<std::string> model, const std::string& where) {
  const int turn = static_cast<int>(conversation_.turns.size()) + 1;
  if (!user && !model)
    return FailTurn(turn, where, "expected a user or a model message, got neither");
  RETURN_IF_ERROR(CheckNumber(number, false, turn, where));
  if (user) RETURN_IF_ERROR(CheckText(*user, turn, where));
  if (model) RETURN_IF_ERROR(CheckText(*model, turn, where));
  RETURN_IF_ERROR(Open());
  conversation_.turns.back().user = std::move(user);
  conversation_.turns.back().model = std::move(model);
  open_ = false;
  return {};
}

Result<Conversation> ConversationBuilder::Finish(const std::string& where) {
  if (conversation_.turns.empty()) {
    return FailAt(where, Code::kInvalidArgument,
                  "expected at least one message of the user or the model, got none");
  }
  return std::move(conversation_);
}

std::size_t Conversation::partial_turns() const {
  return static_cast<std::size_t>(
      std::count_if(turns.begin(), turns.end(), [](const Turn& turn) { return turn.partial(); }));
}

Result<Conversation> ParseConversation(std::string_view bytes, const LimitSettings& limits) {
  bytes = WithoutBom(bytes);
  RETURN_IF_ERROR(CheckPlainText(bytes));
  const std::string_view start = Trim(bytes);
  if (start.empty()) {
    return Fail(Code::kInvalidArgument, "expected a conversation, got an empty file");
  }
  ConversationBuilder builder(limits.conversation_turns);
  if (start.front() == '{' || start.front() == '[') {
    RETURN_IF_ERROR(AddJsonEntries(bytes, limits, builder));
    return builder.Finish("");
  }
  if (LooksLikeConversationCsv(bytes)) {
    RETURN_IF_ERROR(AddCsvRows(bytes, builder));
  } else {
    RETURN_IF_ERROR(AddManualLines(bytes, builder));
  }
  return builder.Finish("line 1");
}

std::string ToJson(const Conversation& conversation) {
  nlohmann::ordered_json turns = nlohmann::ordered_json::array();
  for (const Turn& turn : conversation.turns) {
    nlohmann::ordered_json entry = {{"turn", turn.number}};
    if (turn.user) entry["user"] = *turn.user;
    if (turn.model) entry["model"] = *turn.model;
    turns.push_back(std::move(entry));
  }
  const nlohmann::ordered_json root = {{"turns", std::move(turns)}};
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace garrison
