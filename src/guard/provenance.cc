#include "guard/provenance.h"

#include <utility>

namespace garrison {

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
