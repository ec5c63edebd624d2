// What is remembered of one conversation between its turns, and its two forms: bytes for stores,
// JSON for people and other services (docs/formats/guard-conversations.md).
//
// Texts are not part of it; of a turn with an idempotency key the hash of its messages is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "core/conversation_store.h"
#include "guard/kinematics.h"
#include "guard/measured.h"

namespace garrison {

// The last turns that are remembered with their numbers, and by their idempotency keys.
inline constexpr std::size_t kRecentTurns = 16;
inline constexpr std::size_t kIdempotencyKeyBytesMax = 128;
inline constexpr std::size_t kConversationIdBytesMax = 128;

// 1 to `bytes_max` printable ASCII characters; INVALID_ARGUMENT otherwise.
Result<> CheckPrintable(std::string_view text, std::size_t bytes_max, const char* where);

// One turn that was taken: enough to answer it again.
struct RecordedTurn {
  TurnMetrics metrics;
  std::optional<double> agreement;
  std::optional<MeasuredRecord> measured;  // of a conversation in measured mode
  std::uint32_t tokens = 0;                // that the embedder read
  std::int64_t at_ms = 0;                  // since 1970
  std::string idempotency_key;             // empty: none
  Sha256Digest content{};                  // of the messages; zero without a key

  bool operator==(const RecordedTurn&) const = default;
};

struct SessionState {
  Sha256Digest provenance{};  // ProvenanceHash of what every turn was computed with
  std::string tenant;
  std::string id;
  std::int64_t created_ms = 0;  // since 1970, as the other
  std::int64_t last_use_ms = 0;
  KinematicsState kinematics;
  std::optional<MeasuredState::Data> measured;  // of a conversation in measured mode
  std::vector<RecordedTurn> recent;  // the last of them, at most kRecentTurns, oldest first

  bool operator==(const SessionState&) const = default;
};

// For a store. Numbers read back to the same bits.
std::string EncodeState(const SessionState& state);
// DATA_LOSS unless the bytes are a state of this very conversation.
Result<SessionState> DecodeState(std::string_view bytes, const ConversationKey& key);

// Without the tenant, whose business it is. Numbers read back to the same bits.
nlohmann::ordered_json StateJson(const SessionState& state);
// Trusts nothing: INVALID_ARGUMENT (where: the field) for whatever turns cannot have led to.
// `conversation_id` must be that of `key`.
Result<SessionState> StateFromJson(const nlohmann::json& json, const ConversationKey& key);

// What both readers check once the fields are there. INVALID_ARGUMENT (where: the field).
Result<> CheckState(const SessionState& state);

}  // namespace garrison
