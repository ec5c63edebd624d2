#include "gateway/keys.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/hash.h"
#include "base/random.h"

namespace garrison {
namespace {

constexpr std::size_t kNameMax = 64;
constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kSecretBytes = 32;
constexpr std::string_view kBlank = " \t\r";

// Cuts the first word off `line`; empty at its end.
std::string_view NextWord(std::string_view& line) {
  const std::size_t begin = line.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return line = {};
  const std::size_t end = std::min(line.find_first_of(kBlank, begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

bool IsHash(std::string_view hash) {
  return hash.size() == kHashDigits && std::all_of(hash.begin(), hash.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<> ParseLimit(std::string_view word, ApiKey& key) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  std::int64_t* const limit = name == "requests_per_minute" ? &key.requests_per_minute
                              : name == "tokens_per_minute" ? &key.tokens_per_minute
                                                            : nullptr;
  if (limit == nullptr || equals == std::string_view::npos) {
    return Fail(Code::kInvalidArgument,
                "expected requests_per_minute=N or tokens_per_minute=N after the hash");
  }
  const std::string_view digits = word.substr(equals + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *limit);
  if (error != std::errc() || end != digits.data() + digits.size() || *limit < 1) {
    return Fail(Code::kInvalidArgument, "expected a whole number of at least 1 for {}", name);
  }
  return {};
}

Result<ApiKey> ParseLine(std::string_view line) {
  ApiKey key;
  key.name = NextWord(line);
  ASSIGN_OR_RETURN(key.scopes, ParseScopes(NextWord(line)));
  key.sha256 = NextWord(line);
  for (std::string_view word = NextWord(line); !word.empty(); word = NextWord(line)) {
    RETURN_IF_ERROR(ParseLimit(word, key));
  }
  return key;
}

}  // namespace

std::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kOpen:
      return "open";
    case Scope::kEmbed:
      return "embed";
    case Scope::kChat:
      return "chat";
    case Scope::kAdmin:
      break;
  }
  return "admin";
}

bool ApiKey::MayUse(Scope scope) const {
  return scope == Scope::kOpen || std::find(scopes.begin(), scopes.end(), scope) != scopes.end() ||
         std::find(scopes.begin(), scopes.end(), Scope::kAdmin) != scopes.end();
}

Result<std::vector<Scope>> ParseScopes(std::string_view text) {
  std::vector<Scope> scopes;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view name = text.substr(begin, end - begin);
    const auto scope = std::find_if(kKeyScopes.begin(), kKeyScopes.end(),
                                    [&](Scope one) { return ScopeName(one) == name; });
    if (scope == kKeyScopes.end()) {
      return Fail(Code::kInvalidArgument,
                  "expected scopes such as \"embed,chat\", of embed, chat "
                  "and admin");
    }
    scopes.push_back(*scope);
    begin = end + 1;
  }
  return scopes;
}

std::string FormatKey(const ApiKey& key) {
  std::vector<std::string_view> scopes(key.scopes.size());
  std::transform(key.scopes.begin(), key.scopes.end(), scopes.begin(), ScopeName);
  std::string line = fmt::format("{} {} {}", key.name, fmt::join(scopes, ","), key.sha256);
  if (key.requests_per_minute > 0) {
    line += fmt::format(" requests_per_minute={}", key.requests_per_minute);
  }
  if (key.tokens_per_minute > 0) {
    line += fmt::format(" tokens_per_minute={}", key.tokens_per_minute);
  }
  return line;
}

std::string MakeSecret() { return "gk_" + RandomHex(kSecretBytes); }

Result<KeyRing> KeyRing::Parse(std::string_view text, const std::string& file) {
  KeyRing ring;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (line.empty() || line.front() == '#') continue;
    const auto add = [&]() -> Result<> {
      ASSIGN_OR_RETURN(ApiKey key, ParseLine(line));
      return ring.Add(std::move(key));
    };
    if (Result<> added = add(); !added) {
      return tl::unexpected(At(fmt::format("{}:{}", file, number), std::move(added).error()));
    }
  }
  return ring;
}

Result<> KeyRing::Add(ApiKey key) {
  if (!IsName(key.name)) {
    return Fail(Code::kInvalidArgument,
                "expected a name of 1 to {} letters, digits, \"-\", \"_\" and \".\"", kNameMax);
  }
  if (!IsHash(key.sha256)) {
    return Fail(Code::kInvalidArgument,
                "expected the SHA-256 of the key, {} lower-case hexadecimal digits, as `garrison "
                "keys new` prints it",
                kHashDigits);
  }
  for (const ApiKey& other : keys_) {
    if (other.name != key.name) continue;
    return Fail(Code::kInvalidArgument, "expected names that differ, got \"{}\" twice", key.name);
  }
  keys_.push_back(std::move(key));
  return {};
}

const ApiKey* KeyRing::Find(std::string_view secret) const {
  const std::string hash = Sha256Hex(secret);
  const ApiKey* found = nullptr;
  for (const ApiKey& key : keys_) {
    int differs = 0;
    for (std::size_t i = 0; i < kHashDigits; ++i) differs |= key.sha256[i] ^ hash[i];
    if (differs == 0) found = &key;
  }
  return found;
}

const ApiKey* KeyRing::FindName(std::string_view name) const {
  for (const ApiKey& key : keys_) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

}  // namespace garrison
