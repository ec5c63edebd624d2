#include "guard/monitor.h"

#include <numeric>
#include <utility>

#include "base/hash.h"

namespace garrison {
namespace {

// A message that is longer than the model reads is judged as a whole, not by its beginning.
constexpr LongInput kWholeMessage{.policy = LongInput::Policy::kChunk};

// The embedder speaks of "input[i]"; the caller of the guard knows sides.
Error NameSide(Error error, bool has_user) {
  const bool second = error.where.starts_with("input[1]");
  if (second || error.where.starts_with("input[0]")) {
    error.where.replace(0, 8, second || !has_user ? "model" : "user");
  }
  return error;
}

Provenance MakeProvenance(const ModelInfo& model, const GuardSettings& settings,
                          const std::optional<Projection>& projection) {
  Provenance provenance =
      ReplayProvenance(settings, projection ? "projection:" + projection->hash()
                                            : fmt::format("full:{}", model.dimension));
  provenance.model_id = model.id;
  provenance.model_revision = model.revision;
  provenance.safe_anchor_sha256 = Sha256Hex(settings.safe_anchor);
  provenance.sycophancy_anchor_sha256 = Sha256Hex(settings.sycophancy_anchor);
  return provenance;
}

std::size_t SumOf(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

}  // namespace

GuardMonitor::GuardMonitor(const Embedder& embedder, const GuardSettings& settings,
                           std::optional<Projection> projection)
    : embedder_(embedder),
      settings_(settings),
      projection_(std::move(projection)),
      provenance_(MakeProvenance(embedder.info(), settings_, projection_)) {}

Result<std::unique_ptr<GuardMonitor>> GuardMonitor::Create(const Embedder& embedder,
                                                           const GuardSettings& settings,
                                                           std::optional<Projection> projection) {
  if (projection) RETURN_IF_ERROR(projection->CheckModel(embedder.info()));
  std::unique_ptr<GuardMonitor> monitor(
      new GuardMonitor(embedder, settings, std::move(projection)));
  ASSIGN_OR_RETURN(monitor->v_safe_,
                   monitor->EmbedAnchor(settings.safe_anchor, "guard.safe_anchor"));
  ASSIGN_OR_RETURN(monitor->v_sycophancy_,
                   monitor->EmbedAnchor(settings.sycophancy_anchor, "guard.sycophancy_anchor"));
  return monitor;
}

Result<std::vector<double>> GuardMonitor::EmbedAnchor(const std::string& text,
                                                      const std::string& setting) const {
  EmbedRequest request{.long_input = kWholeMessage};
  request.inputs.emplace_back(text);
  RequestContext context;
  context.id = setting;
  const auto rows = embedder_.Embed(request, context);
  if (!rows) {
    Error error = rows.error();
    error.where = setting;
    return tl::unexpected(std::move(error));
  }
  std::vector<double> anchor = ToSpace(rows->row(0));
  // An axis scores itself; what goes wrong there would go wrong on every turn.
  if (auto self = RiskSeverity(anchor, anchor); !self) {
    return FailAt(setting, Code::kInvalidArgument, "this anchor cannot serve as an axis: {}",
                  self.error().message);
  }
  return anchor;
}

std::vector<double> GuardMonitor::ToSpace(std::span<const float> row) const {
  if (projection_) return projection_->Apply(row);
  return {row.begin(), row.end()};
}

Result<TurnScores> GuardMonitor::Score(const std::optional<std::string>& user,
                                       const std::optional<std::string>& model,
                                       const RequestContext& context) const {
  if (!user && !model) {
    return Fail(Code::kInvalidArgument,
                "expected a message of the user, the model or both, got neither");
  }
  EmbedRequest request{.long_input = kWholeMessage};
  if (user) request.inputs.emplace_back(*user);
  if (model) request.inputs.emplace_back(*model);
  const auto rows = embedder_.Embed(request, context);
  if (!rows) return tl::unexpected(NameSide(rows.error(), user.has_value()));

  using Row = std::optional<std::span<const float>>;
  ASSIGN_OR_RETURN(TurnScores scores, ScoreRows(user ? Row(rows->row(0)) : Row(),
                                                model ? Row(rows->row(user ? 1 : 0)) : Row()));
  scores.tokens = SumOf(rows->tokens);
  return scores;
}

Result<TurnScores> GuardMonitor::ScoreRows(std::optional<std::span<const float>> user,
                                           std::optional<std::span<const float>> model) const {
  TurnScores scores;
  if (user) {
    const std::vector<double> vector = ToSpace(*user);
    const auto risk = RiskSeverity(vector, v_safe_);
    if (!risk) return tl::unexpected(At("user", risk.error()));
    scores.risk.user = *risk;
    scores.user_point = InPlane(vector);
  }
  if (model) {
    const std::vector<double> vector = ToSpace(*model);
    const auto risk = RiskSeverity(vector, v_safe_);
    if (!risk) return tl::unexpected(At("model", risk.error()));
    scores.risk.model = *risk;
    scores.model_point = InPlane(vector);
    ASSIGN_OR_RETURN(scores.agreement, Agreement(vector, v_sycophancy_));
  }
  CompleteScores(scores, settings_);
  return scores;
}

Result<std::vector<TurnScores>> GuardMonitor::ScoreAll(std::span<const Exchange> turns,
                                                       const RequestContext& context) const {
  std::vector<TurnScores> all;
  if (turns.empty()) return all;
  EmbedRequest request{.long_input = kWholeMessage};
  for (const Exchange& turn : turns) {
    request.inputs.emplace_back(std::string(turn.user));
    request.inputs.emplace_back(std::string(turn.model));
  }
  ASSIGN_OR_RETURN(const Embeddings rows, embedder_.Embed(request, context));
  for (std::size_t i = 0; i < turns.size(); ++i) {
    ASSIGN_OR_RETURN(TurnScores scores, ScoreRows(rows.row(2 * i), rows.row(2 * i + 1)));
    scores.tokens = rows.tokens[2 * i] + rows.tokens[2 * i + 1];
    all.push_back(std::move(scores));
  }
  return all;
}

Result<GuardMonitor::MessageRisks> GuardMonitor::Risks(const std::vector<std::string>& messages,
                                                       const RequestContext& context) const {
  EmbedRequest request{.long_input = kWholeMessage};
  request.inputs.assign(messages.begin(), messages.end());
  ASSIGN_OR_RETURN(const Embeddings rows, embedder_.Embed(request, context));
  MessageRisks out;
  out.tokens = SumOf(rows.tokens);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto risk = RiskSeverity(ToSpace(rows.row(i)), v_safe_);
    if (!risk) return tl::unexpected(At(fmt::format("input[{}]", i), risk.error()));
    out.risks.push_back(*risk);
  }
  return out;
}

Result<std::vector<TurnReport>> CheckConversation(const GuardMonitor& monitor,
                                                  const Conversation& conversation,
                                                  const GuardSettings& settings,
                                                  const RequestContext& context) {
  Kinematics kinematics(settings);
  std::vector<TurnReport> reports;
  reports.reserve(conversation.turns.size());
  for (const Turn& turn : conversation.turns) {
    const auto scores = monitor.Score(turn.user, turn.model, context);
    if (!scores) {
      return tl::unexpected(At(fmt::format("turn {}", turn.number), scores.error()));
    }
    ASSIGN_OR_RETURN(const TurnMetrics metrics, kinematics.Step(scores->risk));
    reports.push_back(MakeTurnReport(metrics, *scores, settings));
  }
  return reports;
}

}  // namespace garrison
