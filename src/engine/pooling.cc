#include "engine/pooling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace garrison {
namespace {

struct NamedMode {
  PoolingMode mode;
  std::string_view name;
  const char* flag;  // of the older config.json
};
constexpr std::array kModes = {
    NamedMode{PoolingMode::kCls, "cls", "pooling_mode_cls_token"},
    NamedMode{PoolingMode::kMax, "max", "pooling_mode_max_tokens"},
    NamedMode{PoolingMode::kMean, "mean", "pooling_mode_mean_tokens"},
    NamedMode{PoolingMode::kMeanSqrtLen, "mean_sqrt_len", "pooling_mode_mean_sqrt_len_tokens"},
    NamedMode{PoolingMode::kWeightedMean, "weightedmean", "pooling_mode_weightedmean_tokens"},
    NamedMode{PoolingMode::kLastToken, "lasttoken", "pooling_mode_lasttoken"},
};

void AddMode(PoolingSpec& spec, PoolingMode mode) {
  spec.modes.push_back(mode);
  std::sort(spec.modes.begin(), spec.modes.end());
  spec.modes.erase(std::unique(spec.modes.begin(), spec.modes.end()), spec.modes.end());
}

void PoolOne(PoolingMode mode, const float* rows, std::size_t stride, std::size_t tokens,
             std::size_t skip, std::span<float> out) {
  const auto column = [&](std::size_t c, const auto& weight) {
    double sum = 0;
    for (std::size_t t = skip; t < tokens; ++t) sum += weight(t) * rows[t * stride + c];
    return sum;
  };
  const auto one = [](std::size_t) { return 1.0; };
  const auto position = [](std::size_t t) { return static_cast<double>(t + 1); };
  const auto count = static_cast<double>(tokens - skip);
  double positions = 0;
  for (std::size_t t = skip; t < tokens; ++t) positions += position(t);
  for (std::size_t c = 0; c < out.size(); ++c) {
    switch (mode) {
      case PoolingMode::kCls:
        out[c] = rows[c];
        break;
      case PoolingMode::kMax:
        out[c] = rows[skip * stride + c];
        for (std::size_t t = skip + 1; t < tokens; ++t) {
          out[c] = std::max(out[c], rows[t * stride + c]);
        }
        break;
      case PoolingMode::kMean:
        out[c] = static_cast<float>(column(c, one) / count);
        break;
      case PoolingMode::kMeanSqrtLen:
        out[c] = static_cast<float>(column(c, one) / std::sqrt(count));
        break;
      case PoolingMode::kWeightedMean:
        out[c] = static_cast<float>(column(c, position) / positions);
        break;
      case PoolingMode::kLastToken:
        out[c] = rows[(tokens - 1) * stride + c];
        break;
    }
  }
}

}  // namespace

Result<PoolingSpec> ParsePooling(std::string_view text) {
  PoolingSpec spec;
  spec.modes.clear();
  while (true) {
    const std::size_t plus = text.find('+');
    const std::string_view name = text.substr(0, plus);
    const auto known = std::find_if(kModes.begin(), kModes.end(),
                                    [&](const NamedMode& mode) { return mode.name == name; });
    if (known == kModes.end()) {
      return Fail(Code::kUnimplemented,
                  "the pooling \"{}\" is not known; known are cls, max, mean, mean_sqrt_len, "
                  "weightedmean, lasttoken",
                  name.substr(0, 80));
    }
    AddMode(spec, known->mode);
    if (plus == std::string_view::npos) return spec;
    text.remove_prefix(plus + 1);
  }
}

std::string PoolingName(const PoolingSpec& spec) {
  std::string name;
  for (const PoolingMode mode : spec.modes) {
    const auto known = std::find_if(kModes.begin(), kModes.end(),
                                    [&](const NamedMode& named) { return named.mode == mode; });
    if (!name.empty()) name += '+';
    name += known->name;
  }
  return name;
}

Result<PoolingSpec> ReadPooling(const ModelConfig& config) {
  PoolingSpec spec;
  if (config.Find("pooling_mode") != nullptr) {
    ASSIGN_OR_RETURN(const std::string text, config.Text("pooling_mode"));
    Result<PoolingSpec> parsed = ParsePooling(text);
    if (!parsed) return tl::unexpected(At(config.Place("pooling_mode"), std::move(parsed).error()));
    spec = *std::move(parsed);
  } else {
    spec.modes.clear();
    for (const auto& [field, value] : config.json().items()) {
      if (!field.starts_with("pooling_mode_")) continue;
      ASSIGN_OR_RETURN(const bool wanted, config.FlagOr(field.c_str(), false));
      if (!wanted) continue;
      const auto known = std::find_if(kModes.begin(), kModes.end(),
                                      [&](const NamedMode& mode) { return mode.flag == field; });
      if (known == kModes.end()) {
        return FailAt(config.Place(field.c_str()), Code::kUnimplemented,
                      "this pooling mode is not known");
      }
      AddMode(spec, known->mode);
    }
    if (spec.modes.empty()) {
      return FailAt(config.Place("pooling_mode_mean_tokens"), Code::kInvalidArgument,
                    "expected a pooling mode that is true, got none");
    }
  }
  ASSIGN_OR_RETURN(spec.include_prompt, config.FlagOr("include_prompt", true));
  return spec;
}

void Pool(const PoolingSpec& spec, const float* rows, std::size_t stride, std::size_t tokens,
          std::size_t hidden, std::size_t skip, std::span<float> out) {
  for (std::size_t m = 0; m < spec.modes.size(); ++m) {
    PoolOne(spec.modes[m], rows, stride, tokens, spec.include_prompt ? 0 : skip,
            out.subspan(m * hidden, hidden));
  }
}

void NormalizeVector(std::span<float> vector) {
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  if (squares == 0) return;
  const double scale = 1 / std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value * scale);
}

}  // namespace garrison
