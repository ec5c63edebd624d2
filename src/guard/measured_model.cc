#include "guard/measured_model.h"

namespace garrison {

std::string_view GuardHeadName(GuardHead head) {
  switch (head) {
    case GuardHead::kUserHarmful:
      return "user_harmful";
    case GuardHead::kReplyRisky:
      return "reply_risky";
    case GuardHead::kReplyComplies:
      break;
  }
  return "reply_complies";
}

double Probe::Score(const ProbeInput& input) const {
  // Two sums, so that one addition need not wait for the other.
  const auto words = [](const Eigen::VectorXf& weights, std::span<const SparseValue> sparse) {
    float even = 0;
    float odd = 0;
    std::size_t i = 0;
    for (; i + 1 < sparse.size(); i += 2) {
      even += weights[sparse[i].index] * sparse[i].value;
      odd += weights[sparse[i + 1].index] * sparse[i + 1].value;
    }
    if (i < sparse.size()) even += weights[sparse[i].index] * sparse[i].value;
    return even + odd;
  };
  const auto u = input.u.transpose().array();
  float score = bias + words(user_words, input.user_words);
  if (!of_pair()) return score + (u * user.array()).sum();
  const auto r = input.r.transpose().array();
  score += words(reply_words, input.reply_words);
  return score + (u * user.array() + r * reply.array() + (u - r).abs() * difference.array() +
                  u * r * product.array())
                     .sum();
}

}  // namespace garrison
