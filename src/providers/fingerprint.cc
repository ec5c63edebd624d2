#include "providers/fingerprint.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/base64.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::uint64_t kFileBytesMax = 64 << 20;
constexpr std::size_t kDimensionMax = 65'536;
constexpr std::string_view kFormat = "garrison-fingerprints";

// Changing one makes every stored fingerprint useless; `probes` in the file notices.
constexpr std::array<std::string_view, 8> kProbes = {
    "The quick brown fox jumps over the lazy dog.",
    "How do I reset the password of my account?",
    "Die Katze schläft auf dem warmen Fensterbrett.",
    "for (int i = 0; i < n; ++i) sum += a[i];",
    "Quarterly revenue grew by 12.5% to $3.4 billion.",
    "北京今天下雨，出门请带伞。",
    "no",
    "Patients with type 2 diabetes received 500 mg of metformin twice a day for 24 weeks.",
};

std::string ProbesHash() {
  Sha256 sha;
  for (const std::string_view probe : kProbes) {
    sha.Update(probe);
    sha.Update("\n");
  }
  return sha.FinishHex();
}

double Dot(std::span<const float> a, std::span<const float> b) {
  double dot = 0;
  for (std::size_t i = 0; i < a.size(); ++i) dot += double{a[i]} * double{b[i]};
  return dot;
}

tl::unexpected<Error> Bad(std::string_view what) {
  return Fail(Code::kInvalidArgument, "expected a file of fingerprints: {}", what);
}

Result<Fingerprint> ParseOne(const nlohmann::json& entry) {
  if (!entry.is_object()) return Bad("each space is an object");
  for (const char* name : {"id", "revision", "content", "vectors"}) {
    if (!entry.contains(name) || !entry[name].is_string()) {
      return Bad("each space has texts id, revision, content and vectors");
    }
  }
  if (!entry.contains("dimension") || !entry["dimension"].is_number_unsigned()) {
    return Bad("each space has a dimension");
  }
  Fingerprint one{
      entry["id"], entry["revision"], entry["dimension"].get<std::size_t>(), {}, entry["content"]};
  const auto bytes = DecodeBase64(entry["vectors"].get_ref<const std::string&>());
  if (one.dimension == 0 || one.dimension > kDimensionMax || !bytes ||
      bytes->size() != kProbes.size() * one.dimension * sizeof(float)) {
    return Bad("vectors is base64 of float32 for each probe and dimension");
  }
  one.vectors.resize(kProbes.size() * one.dimension);
  std::memcpy(one.vectors.data(), bytes->data(), bytes->size());
  if (!std::all_of(one.vectors.begin(), one.vectors.end(),
                   [](float x) { return std::isfinite(x); })) {
    return Bad("every number is finite");
  }
  return one;
}

bool IsOf(const Fingerprint& fingerprint, std::string_view id, std::string_view revision,
          std::string_view content) {
  return fingerprint.id == id && fingerprint.revision == revision && fingerprint.content == content;
}

}  // namespace

std::span<const std::string_view> FingerprintProbes() { return kProbes; }

Result<Fingerprint> TakeFingerprint(const Embedder& embedder, const RequestContext& context) {
  EmbedRequest request;
  for (const std::string_view probe : kProbes) request.inputs.emplace_back(std::string(probe));
  ASSIGN_OR_RETURN(Embeddings rows, embedder.Embed(request, context));
  const ModelInfo& info = embedder.info();
  return Fingerprint{info.id, info.revision, rows.dimension, std::move(rows.values), ""};
}

Result<> CheckSameSpace(const Fingerprint& a, const Fingerprint& b, double tolerance) {
  if (a.dimension != b.dimension) {
    return Fail(Code::kFailedPrecondition, "{} has {} dimensions, {} has {}", a.id, a.dimension,
                b.id, b.dimension);
  }
  for (std::size_t i = 0; i < kProbes.size(); ++i) {
    const auto row_a = std::span(a.vectors).subspan(i * a.dimension, a.dimension);
    const auto row_b = std::span(b.vectors).subspan(i * b.dimension, b.dimension);
    const double aa = Dot(row_a, row_a), bb = Dot(row_b, row_b);
    const double cosine = aa > 0 && bb > 0 ? Dot(row_a, row_b) / std::sqrt(aa * bb) : 0;
    if (!(cosine >= 1 - tolerance)) {
      return Fail(Code::kFailedPrecondition,
                  "{} and {} are different vector spaces: the cosine of their vectors of one text "
                  "is {:.4f}",
                  a.id, b.id, cosine);
    }
    const double lengths = std::sqrt(std::max(aa, bb) / std::min(aa, bb));
    if (!(lengths <= 1 + tolerance)) {
      return Fail(
          Code::kFailedPrecondition,
          "vectors of {} and {} point the same way but differ in length by a factor of {:.3f}",
          a.id, b.id, lengths);
    }
  }
  return {};
}

Result<std::vector<Fingerprint>> ParseFingerprints(std::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, 8));
  if (!json.is_object() || json.value("format", nlohmann::json()) != kFormat)
    return Bad("format is not that");
  if (!json.contains("version") || json["version"] != 1) return Bad("version is not 1");
  if (!json.contains("probes") || json["probes"] != ProbesHash()) {
    return Bad("it was made with other probes; delete it, and it is made anew");
  }
  if (!json.contains("spaces") || !json["spaces"].is_array()) return Bad("spaces is a list");
  std::vector<Fingerprint> all;
  for (const nlohmann::json& entry : json["spaces"]) {
    ASSIGN_OR_RETURN(Fingerprint one, ParseOne(entry));
    all.push_back(std::move(one));
  }
  return all;
}

std::string FormatFingerprints(std::span<const Fingerprint> fingerprints) {
  static_assert(std::endian::native == std::endian::little, "the file is little-endian");
  nlohmann::ordered_json spaces = nlohmann::ordered_json::array();
  for (const Fingerprint& one : fingerprints) {
    spaces.push_back({{"id", one.id},
                      {"revision", one.revision},
                      {"content", one.content},
                      {"dimension", one.dimension},
                      {"vectors", EncodeBase64(std::as_bytes(std::span(one.vectors)))}});
  }
  return DumpJson({{"format", kFormat},
                   {"version", 1},
                   {"probes", ProbesHash()},
                   {"spaces", std::move(spaces)}}) +
         "\n";
}

FingerprintStore::FingerprintStore(std::filesystem::path file, std::vector<Fingerprint> known)
    : file_(std::move(file)), known_(std::move(known)) {}

Result<std::unique_ptr<FingerprintStore>> FingerprintStore::Open(
    const std::filesystem::path& file) {
  std::vector<Fingerprint> known;
  if (!file.empty()) {
    Result<std::string> text = ReadTextFile(file, kFileBytesMax);
    if (!text && text.error().code != Code::kNotFound) {
      return tl::unexpected(std::move(text).error());
    }
    if (text) {
      Result<std::vector<Fingerprint>> parsed = ParseFingerprints(*text);
      if (!parsed) return tl::unexpected(At(file.string(), std::move(parsed).error()));
      known = *std::move(parsed);
    }
  }
  return std::unique_ptr<FingerprintStore>(new FingerprintStore(file, std::move(known)));
}

std::optional<Fingerprint> FingerprintStore::Find(const ModelInfo& model,
                                                  std::string_view content) const {
  const std::lock_guard lock(mutex_);
  for (const Fingerprint& one : known_) {
    if (IsOf(one, model.id, model.revision, content)) return one;
  }
  return std::nullopt;
}

Result<> FingerprintStore::Put(Fingerprint fingerprint) {
  const std::lock_guard lock(mutex_);
  std::erase_if(known_, [&](const Fingerprint& one) {
    return IsOf(one, fingerprint.id, fingerprint.revision, fingerprint.content);
  });
  known_.push_back(std::move(fingerprint));
  if (file_.empty()) return {};
  std::error_code ignored;  // writing says what is wrong
  std::filesystem::create_directories(file_.parent_path(), ignored);
  return WriteFileAtomically(file_, FormatFingerprints(known_));
}

}  // namespace garrison
