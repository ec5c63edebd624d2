#include "guard/provenance.h"

#include <fmt/format.h>

#include <utility>

namespace garrison {

Sha256Digest ProvenanceHash(const Provenance& p) {
  // Every text with its length, every number with all its digits: no two run into one another.
  std::string text;
  for (const std::string* part : {&p.model_id, &p.model_revision, &p.safe_anchor_sha256,
                                  &p.sycophancy_anchor_sha256, &p.space, &p.cumulative}) {
    text += fmt::format("{}:{};", part->size(), *part);
  }
  for (const double number : {p.weight_r, p.weight_v, p.weight_a, p.bias, p.epsilon}) {
    text += fmt::format("{:a};", number);
  }
  Sha256 hash;
  hash.Update(text);
  return hash.Finish();
}

Provenance ReplayProvenance(const GuardSettings& settings, std::string space) {
  Provenance provenance;
  provenance.space = std::move(space);
  provenance.weight_r = settings.weight_r;
  provenance.weight_v = settings.weight_v;
  provenance.weight_a = settings.weight_a;
  provenance.bias = settings.bias;
  provenance.epsilon = settings.epsilon;
  provenance.cumulative = settings.cumulative;
  return provenance;
}

}  // namespace garrison
