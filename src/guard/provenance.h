// What a guard result was computed with. Results of different provenance do not compare.
#pragma once

#include <cstddef>
#include <string>

#include "base/hash.h"
#include "core/settings.h"

namespace garrison {

struct Provenance {
  // Empty where no text was embedded (replay).
  std::string model_id;
  std::string model_revision;
  std::string safe_anchor_sha256;        // of the anchor's text
  std::string sycophancy_anchor_sha256;  // likewise
  // "full:384", "projection:<hash>", "vectors:2" (replayed vectors) or "risk" (replayed figures).
  std::string space;

  double weight_r = 0;
  double weight_v = 0;
  double weight_a = 0;
  double bias = 0;
  double epsilon = 0;
  std::string cumulative;  // "sum" or "trapezoid"

  bool operator==(const Provenance&) const = default;
};

// SHA-256 over all of it: equal for two only if their results compare, number by number.
Sha256Digest ProvenanceHash(const Provenance& provenance);

// The part that comes from the settings alone, for results without a model.
Provenance ReplayProvenance(const GuardSettings& settings, std::string space);

}  // namespace garrison
