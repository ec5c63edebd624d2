// Conversations in every dialect. What is read holds its contract and reads back from its own JSON.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "guard/conversation.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  garrison::LimitSettings limits;
  limits.conversation_turns = 20;
  limits.json_depth = 12;
  const auto conversation = garrison::ParseConversation(bytes, limits);
  if (!conversation) {
    CHECK(conversation.error().code == garrison::Code::kInvalidArgument);
    CHECK(!conversation.error().message.empty());
    return 0;
  }
  CHECK(!conversation->turns.empty() && conversation->turns.size() <= 20);
  CHECK(conversation->partial_turns() <= conversation->turns.size());
  for (std::size_t i = 0; i < conversation->turns.size(); ++i) {
    const garrison::Turn& turn = conversation->turns[i];
    CHECK(turn.number == static_cast<int>(i) + 1);
    CHECK(turn.user || turn.model);
    CHECK(!turn.user || !turn.user->empty());
    CHECK(!turn.model || !turn.model->empty());
  }
  const auto again = garrison::ParseConversation(garrison::ToJson(*conversation), limits);
  CHECK(again.has_value());
  CHECK(again->turns == conversation->turns);
  return 0;
}
