// What a vector space looks like: the vectors of a few fixed texts. Two models whose vectors of
// these texts agree are one model, whoever runs it. File: docs/formats/fingerprint.md.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"

namespace garrison {

// Of different kinds, so that models of one family differ on some.
std::span<const std::string_view> FingerprintProbes();

struct Fingerprint {
  std::string id;        // of the model, as ModelInfo
  std::string revision;  // as ModelInfo
  std::size_t dimension = 0;
  std::vector<float> vectors;  // [probes, dimension]
  std::string content;         // hash of the model's Embedder::Content(); set by who stores it

  bool operator==(const Fingerprint&) const = default;
};

// Embeds the probes. The errors of the model.
Result<Fingerprint> TakeFingerprint(const Embedder& embedder, const RequestContext& context);

// FAILED_PRECONDITION, saying what differs, unless both are of one space: the same dimension, every
// probe's cosine at least 1 - tolerance, and lengths within the same share.
Result<> CheckSameSpace(const Fingerprint& a, const Fingerprint& b, double tolerance);

// INVALID_ARGUMENT for anything that is no file of fingerprints of these probes.
Result<std::vector<Fingerprint>> ParseFingerprints(std::string_view json);
std::string FormatFingerprints(std::span<const Fingerprint> fingerprints);

// The fingerprints that are known, kept in a file. Thread-safe.
class FingerprintStore {
 public:
  // `file` need not exist; empty: they are kept in memory alone. Errors of reading and of
  // ParseFingerprints, with the file's name.
  static Result<std::unique_ptr<FingerprintStore>> Open(const std::filesystem::path& file);

  std::optional<Fingerprint> Find(const ModelInfo& model, std::string_view content) const;
  // Replaces that of the same model. An error of writing leaves it in memory.
  Result<> Put(Fingerprint fingerprint);

 private:
  FingerprintStore(std::filesystem::path file, std::vector<Fingerprint> known);

  const std::filesystem::path file_;
  mutable std::mutex mutex_;  // guards known_ and the file
  std::vector<Fingerprint> known_;
};

}  // namespace garrison
