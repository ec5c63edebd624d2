#include "text/vocabulary.h"

#include <bit>
#include <cstring>

namespace garrison::tokenizers {
namespace {

constexpr std::size_t kSlotsMin = 64;
constexpr std::size_t kArenaBytesMax = std::size_t{1} << 30;
// Ids that no token has: real vocabularies have a few.
constexpr std::uint64_t kGapMax = 1'000'000;
constexpr std::uint64_t kIdMax = 0x7FFFFFFE;

std::uint64_t Mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint64_t HashBytes(std::string_view bytes) {
  constexpr std::uint64_t kOne = 0x9E3779B97F4A7C15U;
  constexpr std::uint64_t kTwo = 0xD1B54A32D192ED03U;
  std::uint64_t hash = bytes.size() * kOne;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, at, 8);
    hash = Mix(hash ^ eight, kTwo);
  }
  std::uint64_t rest = 0;
  if (left > 0) std::memcpy(&rest, at, left);
  return Mix(hash ^ rest, kOne);
}

void Vocabulary::Reserve(std::size_t tokens, std::size_t bytes) {
  arena_.reserve(bytes);
  tokens_.reserve(tokens);
  Rehash(std::bit_ceil(2 * tokens + kSlotsMin));
}

void Vocabulary::Rehash(std::size_t slots) {
  slots_.assign(slots, kFree);
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    if (tokens_[id].begin == kAbsent) continue;
    std::size_t slot = HashBytes(Text(tokens_[id])) & (slots - 1);
    while (slots_[slot] != kFree) slot = (slot + 1) & (slots - 1);
    slots_[slot] = static_cast<std::int32_t>(id);
  }
}

Result<> Vocabulary::Add(std::string_view token, std::uint64_t id) {
  if (id > kIdMax || id > 2 * std::uint64_t{count_} + arena_.size() + kGapMax) {
    return Fail(Code::kInvalidArgument,
                "the id {} is too high for a vocabulary of this size; ids count up from 0", id);
  }
  if (arena_.size() + token.size() > kArenaBytesMax) {
    return Fail(Code::kResourceExhausted, "the vocabulary is larger than {} bytes", kArenaBytesMax);
  }
  if (Has(static_cast<std::int32_t>(id))) {
    return Fail(Code::kInvalidArgument, "the id {} is given to \"{}\" and to \"{}\"", id,
                TokenOf(static_cast<std::int32_t>(id)), token);
  }
  if (2 * (count_ + 1) > slots_.size()) Rehash(std::bit_ceil(4 * (count_ + kSlotsMin)));
  std::size_t slot = HashBytes(token) & (slots_.size() - 1);
  while (slots_[slot] != kFree) {
    const Token& other = tokens_[static_cast<std::size_t>(slots_[slot])];
    if (Text(other) == token) {
      return Fail(Code::kInvalidArgument, "the token \"{}\" is there twice", token);
    }
    slot = (slot + 1) & (slots_.size() - 1);
  }
  slots_[slot] = static_cast<std::int32_t>(id);
  if (id >= tokens_.size()) tokens_.resize(id + 1);
  tokens_[id] = {static_cast<std::uint32_t>(arena_.size()),
                 static_cast<std::uint32_t>(token.size())};
  arena_.append(token);
  ++count_;
  return {};
}

Result<> Vocabulary::CheckDensity() const {
  if (tokens_.size() <= 2 * count_ + kGapMax) return {};
  return Fail(Code::kInvalidArgument, "ids go up to {}, and there are only {} tokens",
              tokens_.size() - 1, count_);
}

std::optional<std::int32_t> Vocabulary::IdOf(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  std::size_t slot = HashBytes(token) & (slots_.size() - 1);
  while (slots_[slot] != kFree) {
    const Token& other = tokens_[static_cast<std::size_t>(slots_[slot])];
    if (other.size == token.size() && Text(other) == token) return slots_[slot];
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return std::nullopt;
}

bool Vocabulary::Has(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < tokens_.size() &&
         tokens_[static_cast<std::size_t>(id)].begin != kAbsent;
}

std::string_view Vocabulary::TokenOf(std::int32_t id) const {
  return Has(id) ? Text(tokens_[static_cast<std::size_t>(id)]) : std::string_view();
}

}  // namespace garrison::tokenizers
