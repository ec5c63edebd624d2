#include "wire/upstream.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/base64.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kDimensionMax = 65'536;
constexpr std::size_t kMessageMax = 200;
constexpr std::string_view kMask = "********";

struct Name {
  FailureClass kind;
  std::string_view name;
};
constexpr std::array kNames = {
    Name{FailureClass::kBadRequest, "bad_request"},
    Name{FailureClass::kAuthentication, "authentication"},
    Name{FailureClass::kPermission, "permission"},
    Name{FailureClass::kBilling, "billing"},
    Name{FailureClass::kNotFound, "not_found"},
    Name{FailureClass::kRateLimit, "rate_limit"},
    Name{FailureClass::kTimeout, "timeout"},
    Name{FailureClass::kOverloaded, "overloaded"},
    Name{FailureClass::kServer, "server"},
    Name{FailureClass::kNetwork, "network"},
    Name{FailureClass::kBadReply, "bad_reply"},
    Name{FailureClass::kRedirect, "redirect"},
    Name{FailureClass::kCircuitOpen, "circuit_open"},
};

bool IsKeyChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '*' || c == '+' || c == '/' || c == '=';
}

// Model names and URLs have dots, or no digit, or are short; keys are long and mixed.
bool LooksLikeKey(std::string_view word) {
  for (const std::string_view prefix : {"sk-", "hf_", "AKIA", "ASIA", "eyJ", "gsk_", "xai-"}) {
    if (word.starts_with(prefix) && word.size() > prefix.size() + 3) return true;
  }
  if (word.size() < 24) return false;
  const bool digit =
      std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool dashed = std::count(word.begin(), word.end(), '-') > 2 &&
                      word.find('/') == std::string_view::npos && word.size() < 48;
  return digit && !dashed;
}

std::string MaskKeys(std::string_view text) {
  std::string masked;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && IsKeyChar(text[end])) ++end;
    if (end == i) {
      masked += text[i++];
      continue;
    }
    const std::string_view word = text.substr(i, end - i);
    masked += LooksLikeKey(word) ? kMask : word;
    i = end;
  }
  return masked;
}

tl::unexpected<Error> Unusable(std::string message) {
  return Fail(Code::kUnavailable, "{}", message);
}

}  // namespace

std::string_view FailureName(FailureClass kind) {
  const auto* const found =
      std::find_if(kNames.begin(), kNames.end(), [&](const Name& n) { return n.kind == kind; });
  return found == kNames.end() ? "server" : found->name;
}

std::optional<FailureClass> FailureOf(std::string_view name) {
  const auto* const found =
      std::find_if(kNames.begin(), kNames.end(), [&](const Name& n) { return n.name == name; });
  return found == kNames.end() ? std::nullopt : std::optional(found->kind);
}

FailureClass ClassOfStatus(int status) {
  switch (status) {
    case 401:
    case 407:
      return FailureClass::kAuthentication;
    case 402:
      return FailureClass::kBilling;
    case 403:
      return FailureClass::kPermission;
    case 404:
    case 405:
    case 410:
      return FailureClass::kNotFound;
    case 408:
    case 504:
      return FailureClass::kTimeout;
    case 409:
    case 424:
      return FailureClass::kServer;
    case 429:
      return FailureClass::kRateLimit;
    case 503:
    case 529:
      return FailureClass::kOverloaded;
    default:
      break;
  }
  if (status >= 300 && status < 400) return FailureClass::kRedirect;
  if (status >= 400 && status < 500) return FailureClass::kBadRequest;
  return status >= 500 ? FailureClass::kServer : FailureClass::kBadReply;
}

std::string ShortMessage(std::string_view message, std::span<const std::string> secrets) {
  std::string text(message.substr(0, 16 * kMessageMax));
  for (const std::string& secret : secrets) {
    if (secret.empty()) continue;
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos;) {
      text.replace(at, secret.size(), kMask);
      at += kMask.size();
    }
  }
  text = MaskKeys(text);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  if (text.size() > kMessageMax) {
    std::size_t end = kMessageMax;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text.resize(end);
    text += "...";
  }
  return text;
}

bool IsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto at = [&](std::size_t k) {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
    };
    const unsigned lead = at(0);
    std::size_t size = 1;
    unsigned low = 0x80, high = 0xbf;  // of the second byte
    if (lead >= 0x80) {
      if (lead < 0xc2 || lead > 0xf4) return false;
      size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
      if (at(1) < low || at(1) > high) return false;
      for (std::size_t k = 2; k < size; ++k) {
        if (at(k) < 0x80 || at(k) > 0xbf) return false;
      }
    }
    i += size;
  }
  return true;
}

Result<nlohmann::json> ParseUpstreamJson(std::string_view body) {
  Result<nlohmann::json> json = ParseJson(body, kDepthMax);
  if (json) return json;
  return Unusable(fmt::format("the reply is no JSON: {}", json.error().message));
}

Result<std::span<float>> VectorRows::Place(std::size_t index, std::size_t dimension) {
  if (index >= seen_.size()) {
    return Unusable(
        fmt::format("there is a vector for input {}, of {} inputs", index, seen_.size()));
  }
  if (seen_[index]) return Unusable(fmt::format("there are two vectors for input {}", index));
  if (dimension == 0 || dimension > kDimensionMax) {
    return Unusable(fmt::format("the vector of input {} has {} components; expected 1 to {}", index,
                                dimension, kDimensionMax));
  }
  if (vectors_.dimension == 0) {
    vectors_.dimension = dimension;
    vectors_.values.resize(seen_.size() * dimension);
  }
  if (dimension != vectors_.dimension) {
    return Unusable(fmt::format("the vector of input {} has {} components, another has {}", index,
                                dimension, vectors_.dimension));
  }
  seen_[index] = true;
  ++added_;
  return std::span(vectors_.values).subspan(index * dimension, dimension);
}

Result<> VectorRows::Add(std::size_t index, const nlohmann::json& vector) {
  static_assert(std::endian::native == std::endian::little, "base64 carries little-endian floats");
  std::span<float> row;
  if (vector.is_string()) {
    const auto bytes = DecodeBase64(vector.get_ref<const std::string&>());
    if (!bytes || bytes->size() % sizeof(float) != 0) {
      return Unusable(fmt::format("the vector of input {} is no base64 of float32", index));
    }
    ASSIGN_OR_RETURN(row, Place(index, bytes->size() / sizeof(float)));
    std::memcpy(row.data(), bytes->data(), bytes->size());
  } else if (vector.is_array()) {
    ASSIGN_OR_RETURN(row, Place(index, vector.size()));
    for (std::size_t i = 0; i < vector.size(); ++i) {
      if (!vector[i].is_number()) {
        return Unusable(fmt::format("the vector of input {} holds {} instead of a number", index,
                                    JsonTypeName(vector[i])));
      }
      row[i] = vector[i].get<float>();
    }
  } else {
    return Unusable(
        fmt::format("expected a vector for input {}, got {}", index, JsonTypeName(vector)));
  }
  if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
    return Unusable(fmt::format("the vector of input {} holds what is not finite", index));
  }
  if (std::all_of(row.begin(), row.end(), [](float x) { return x == 0; })) {
    return Unusable(fmt::format("the vector of input {} is all zeros", index));
  }
  return {};
}

Result<UpstreamVectors> VectorRows::Finish() && {
  if (added_ == seen_.size()) return std::move(vectors_);
  const auto missing = std::find(seen_.begin(), seen_.end(), false) - seen_.begin();
  return Unusable(fmt::format("there are {} vectors for {} inputs; the one of input {} is missing",
                              added_, seen_.size(), missing));
}

bool IsTokenCount(const nlohmann::json& value) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  return value.is_number_unsigned() && value.get<std::uint64_t>() <= kMost;
}

}  // namespace garrison
