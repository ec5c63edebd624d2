// API keys: who calls, and what they may do. Keys are kept as hashes only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// Who may call a route.
enum class Scope {
  kOpen,   // anyone who reaches the port: health, pages
  kEmbed,  // work for models and the guard
  kChat,   // what generates text, here or at a provider
  kAdmin,  // what changes the service
};

// Those that a key may have.
inline constexpr std::array kKeyScopes = {Scope::kEmbed, Scope::kChat, Scope::kAdmin};

// "open", "embed", "chat", "admin".
std::string_view ScopeName(Scope scope);

struct ApiKey {
  std::string name;
  // Of the key, 64 lower-case hexadecimal digits. No salt and no slow hash: keys are 256 random
  // bits (`garrison keys new`), which nobody can guess, unlike passwords.
  std::string sha256;
  std::vector<Scope> scopes;  // admin includes the others
  // 0: no limit.
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;

  bool MayUse(Scope scope) const;
};

// "embed,chat"; INVALID_ARGUMENT names the scopes there are.
Result<std::vector<Scope>> ParseScopes(std::string_view text);

// The line of a key file: "NAME SCOPES SHA256 [requests_per_minute=N] [tokens_per_minute=N]".
std::string FormatKey(const ApiKey& key);
// A new key: "gk_" and 256 random bits in hexadecimal.
std::string MakeSecret();

// Immutable.
class KeyRing {
 public:
  // A line for each key; empty lines and those that begin with # are skipped. INVALID_ARGUMENT
  // (where: "FILE:LINE") never repeats what might be a key.
  static Result<KeyRing> Parse(std::string_view text, const std::string& file);

  // INVALID_ARGUMENT for a name that is there already or is no plain word.
  Result<> Add(ApiKey key);

  bool empty() const { return keys_.empty(); }
  const std::vector<ApiKey>& keys() const { return keys_; }
  // Null when there is none. Takes as long whichever it is.
  const ApiKey* Find(std::string_view secret) const;
  // By the key's name; null when there is none.
  const ApiKey* FindName(std::string_view name) const;

 private:
  std::vector<ApiKey> keys_;
};

}  // namespace garrison
