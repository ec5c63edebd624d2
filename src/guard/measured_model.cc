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
  const auto& [u, r, user_sparse, reply_sparse] = input;
  const auto words = [](const Eigen::VectorXf& weights, std::span<const SparseValue> sparse) {
    float sum = 0;
    for (const SparseValue& entry : sparse) sum += weights[entry.index] * entry.value;
    return sum;
  };
  float score = bias + u.dot(user.transpose()) + words(user_words, user_sparse);
  if (of_pair()) {
    score += r.dot(reply.transpose()) + words(reply_words, reply_sparse);
    score += (u - r).cwiseAbs().dot(difference.transpose());
    score += u.cwiseProduct(r).dot(product.transpose());
  }
  return score;
}

Eigen::RowVectorXf DenseFeatures(const ProbeInput& input, bool of_pair) {
  const auto& u = input.u;
  const auto& r = input.r;
  if (!of_pair) return u;
  Eigen::RowVectorXf out(4 * u.size());
  out << u, r, (u - r).cwiseAbs(), u.cwiseProduct(r);
  return out;
}

}  // namespace garrison
