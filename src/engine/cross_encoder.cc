#include "engine/cross_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace garrison {
namespace {

float Sigmoid(float x) { return static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x)))); }

// In place, over one row; the largest logit is taken off first so that nothing overflows.
void Softmax(std::span<float> row) {
  const double highest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float value : row) sum += std::exp(value - highest);
  for (float& value : row) value = static_cast<float>(std::exp(value - highest) / sum);
}

Result<> RefuseChunks(const LongInput& long_input) {
  if (long_input.policy != LongInput::Policy::kChunk) return {};
  return FailAt("long_input", Code::kInvalidArgument,
                "a score of a text in chunks has no meaning; choose error or truncate");
}

}  // namespace

const std::vector<std::string>& CrossEncoder::labels() const { return spec().labels; }

bool CrossEncoder::multi_label() const {
  return spec().labels.size() > 1 && spec().scores != ScoreFunction::kSoftmax;
}

Result<std::shared_ptr<const CrossEncoder>> CrossEncoder::Load(
    std::shared_ptr<const SequenceModel> model) {
  std::shared_ptr<CrossEncoder> encoder(new CrossEncoder(std::move(model)));
  RETURN_IF_ERROR(encoder->LoadHead());
  const EncoderSpec& spec = encoder->model_->folder().encoder;
  encoder->info_ = encoder->model_->Info();
  encoder->info_.description =
      encoder->reranks() ? fmt::format("{} cross-encoder, {} layers", spec.family, spec.layers)
                         : fmt::format("{} classifier, {} layers, {} labels", spec.family,
                                       spec.layers, encoder->labels().size());
  return std::shared_ptr<const CrossEncoder>(std::move(encoder));
}

Result<> CrossEncoder::LoadHead() {
  const ModelFolder& folder = model_->folder();
  const std::size_t hidden = folder.encoder.hidden;
  const Checkpoint checkpoint(*folder.weights, "");
  ComputeOptions exact = model_->compute();
  exact.type = ComputeType::kF32;  // one row a text: speed is elsewhere
  std::string inner, outer;
  switch (folder.encoder.classifier) {
    case ClassifierHead::kPooler:
      inner = folder.encoder.prefix + "pooler.dense";
      outer = "classifier";
      break;
    case ClassifierHead::kDenseTanh:
      inner = "classifier.dense";
      outer = "classifier.out_proj";
      break;
    case ClassifierHead::kPreRelu:
      inner = "pre_classifier";
      outer = "classifier";
      activation_ = Activation::kRelu;
      break;
  }
  ASSIGN_OR_RETURN(inner_, checkpoint.ReadLinear({inner}, hidden, hidden, true, "head", exact));
  ASSIGN_OR_RETURN(outer_,
                   checkpoint.ReadLinear({outer}, labels().size(), hidden, true, "head", exact));
  return {};
}

Result<std::vector<float>> CrossEncoder::Logits(const PreparedInputs& prepared,
                                                const RequestContext& context,
                                                ComputeTimes& times) const {
  const std::size_t count = labels().size();
  std::vector<float> logits(prepared.sequences.size() * count);
  const Kernels& kernels = model_->encoder().kernels();
  const auto take = [&](std::size_t s, const float* rows, std::size_t stride,
                        std::size_t) -> Result<> {
    std::vector<float> inner(RowStride(inner_.columns())), outer(RowStride(outer_.columns()));
    kernels.linear({.weights = &inner_,
                    .input = rows,
                    .input_stride = stride,
                    .rows = 1,
                    .panel_end = inner_.panels(),
                    .activation = activation_,
                    .output = inner.data(),
                    .output_stride = inner.size()});
    kernels.linear({.weights = &outer_,
                    .input = inner.data(),
                    .input_stride = inner.size(),
                    .rows = 1,
                    .panel_end = outer_.panels(),
                    .output = outer.data(),
                    .output_stride = outer.size()});
    for (std::size_t c = 0; c < count; ++c) {
      if (!std::isfinite(outer[c])) {
        return FailAt(fmt::format("input[{}]", prepared.sequences[s].input), Code::kDataLoss,
                      "the model's output is not finite; its weights overflow on this input");
      }
      logits[s * count + c] = outer[c];
    }
    return {};
  };
  ASSIGN_OR_RETURN(times, model_->Run(prepared, context, SequenceModel::States::kRead, take));
  return logits;
}

Result<Relevance> CrossEncoder::ToRelevance(PreparedInputs prepared,
                                            const RequestContext& context) const {
  Relevance out;
  ASSIGN_OR_RETURN(out.logits, Logits(prepared, context, out.times));
  out.scores.reserve(out.logits.size());
  for (const float logit : out.logits) out.scores.push_back(Sigmoid(logit));
  out.tokens = std::move(prepared.tokens);
  out.total_tokens = std::move(prepared.total_tokens);
  return out;
}

Result<Relevance> CrossEncoder::Rerank(const RerankRequest& request,
                                       const RequestContext& context) const {
  RETURN_IF_ERROR(RefuseChunks(request.long_input));
  ASSIGN_OR_RETURN(PreparedInputs prepared,
                   model_->PreparePairs(request.query, request.documents, request.long_input));
  return ToRelevance(std::move(prepared), context);
}

Result<Relevance> CrossEncoder::Score(std::span<const SequenceInput> pairs,
                                      const LongInput& long_input,
                                      const RequestContext& context) const {
  RETURN_IF_ERROR(RefuseChunks(long_input));
  ASSIGN_OR_RETURN(PreparedInputs prepared, model_->Prepare(pairs, "", long_input));
  return ToRelevance(std::move(prepared), context);
}

Result<Classifications> CrossEncoder::Classify(std::span<const SequenceInput> inputs,
                                               const LongInput& long_input,
                                               const RequestContext& context) const {
  RETURN_IF_ERROR(RefuseChunks(long_input));
  ASSIGN_OR_RETURN(PreparedInputs prepared, model_->Prepare(inputs, "", long_input));
  Classifications out;
  out.labels = labels().size();
  ASSIGN_OR_RETURN(out.logits, Logits(prepared, context, out.times));
  out.scores = out.logits;
  switch (spec().scores) {
    case ScoreFunction::kSoftmax:
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        Softmax(std::span(out.scores).subspan(i * out.labels, out.labels));
      }
      break;
    case ScoreFunction::kSigmoid:
      for (float& score : out.scores) score = Sigmoid(score);
      break;
    case ScoreFunction::kIdentity:
      break;
  }
  out.tokens = std::move(prepared.tokens);
  out.total_tokens = std::move(prepared.total_tokens);
  return out;
}

}  // namespace garrison
