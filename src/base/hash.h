// SHA-256 (FIPS 180-4), for naming content: training sets, weights, cache keys. Not for passwords.
// HMAC-SHA-256 (RFC 2104), for signing requests.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace garrison {

using Sha256Digest = std::array<std::byte, 32>;

class Sha256 {
 public:
  Sha256();
  void Update(std::span<const std::byte> data);
  void Update(std::string_view text);
  // 64 lower-case hexadecimal digits. Ends the computation: no Update after it.
  std::string FinishHex();
  // The same as bytes.
  Sha256Digest Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string Sha256Hex(std::string_view text);

Sha256Digest HmacSha256(std::span<const std::byte> key, std::string_view text);
// Lower case.
std::string ToHex(std::span<const std::byte> bytes);

}  // namespace garrison
