// Pairs messages into turns and checks what every dialect has in common. Inside guard/conversation
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "guard/conversation.h"

namespace garrison {

enum class Speaker { kUser, kModel, kSkipped };

// user, human, u | model, llm, ai, assistant, m, bot | system, developer, tool, function; any case.
std::optional<Speaker> SpeakerFrom(std::string_view name);

inline constexpr std::string_view kSpeakerNames =
    "user, human or u, or model, assistant, ai, llm, bot or m";

class ConversationBuilder {
 public:
  explicit ConversationBuilder(std::int64_t turns_max) : turns_max_(turns_max) {}

  // One message of the user or the model. `number` is the turn number that the file gives, if any;
  // `number_where` and `text_where` are the places of the two.
  Result<> AddMessage(Speaker speaker, std::optional<std::int64_t> number, std::string text,
                      const std::string& number_where, const std::string& text_where);

  // A whole turn; empty sides never came. `where` is the place of the entry.
  Result<> AddPair(std::optional<std::int64_t> number, std::optional<std::string> user,
                   std::optional<std::string> model, const std::string& where);

  void SkipSystem() { ++conversation_.skipped_system; }

  // The turn that a next message belongs to if it is not known yet who speaks.
  int NextTurn() const;

  // INVALID_ARGUMENT with "turn N: " before the message.
  template <typename... Args>
  [[nodiscard]] tl::unexpected<Error> FailTurn(int turn, std::string where,
                                               fmt::format_string<Args...> format,
                                               Args&&... args) const {
    return FailAt(std::move(where), Code::kInvalidArgument, "turn {}: {}", turn,
                  fmt::format(format, std::forward<Args>(args)...));
  }

  // `where` is the place of the list as a whole.
  Result<Conversation> Finish(const std::string& where);

 private:
  Result<> CheckNumber(std::optional<std::int64_t> number, bool may_repeat, int turn,
                       const std::string& where);
  Result<> CheckText(const std::string& text, int turn, const std::string& where) const;
  Result<> Open();

  const std::int64_t turns_max_;
  Conversation conversation_;
  bool open_ = false;  // the last turn is a user message that waits for its reply
  std::optional<std::int64_t> last_number_;
};

// The dialects. `bytes` is UTF-8 without NUL and without a byte order mark.
Result<> AddJsonEntries(std::string_view bytes, const LimitSettings& limits,
                        ConversationBuilder& builder);
Result<> AddCsvRows(std::string_view bytes, ConversationBuilder& builder);
Result<> AddManualLines(std::string_view bytes, ConversationBuilder& builder);

// Whether the text starts with the header of one of the two CSV dialects.
bool LooksLikeConversationCsv(std::string_view bytes);

}  // namespace garrison
