#include "guard/language.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace garrison {
namespace {

constexpr std::size_t kCells = kLanguageSigns * kLanguageSigns * kLanguageSigns;
constexpr std::uint8_t kBlank = 26;
constexpr std::uint8_t kOtherLatin = 27;
constexpr std::size_t kBytesRead = 4000;
constexpr double kSteps = 16;

struct Signs {
  std::vector<std::uint8_t> signs;  // begins with two blanks; no other two follow one another
  std::size_t latin = 0;            // letters
  std::size_t other = 0;            // characters of other scripts
};

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
};

// Texts were checked to be UTF-8 before; a character that the end cuts off reads as a blank.
Character CharacterAt(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size()
               ? static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + i]))
               : 0U;
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

bool IsOtherLatin(std::uint32_t code) {
  // Latin-1 letters, Latin Extended-A and -B, Latin Extended Additional (Vietnamese).
  return (code >= 0xC0 && code <= 0x24F && code != 0xD7 && code != 0xF7) ||
         (code >= 0x1E00 && code <= 0x1EFF);
}

// Greek and everything after it but punctuation, signs, pictures and combining marks.
bool IsOtherScript(std::uint32_t code) {
  return (code >= 0x370 && code < 0x1E00) || (code >= 0x1F00 && code < 0x2000) ||
         (code >= 0x2C00 && code < 0x2E00) || (code >= 0x3040 && code < 0xD800) ||
         (code >= 0xF900 && code < 0xFE00) || (code >= 0xFF66 && code < 0xFFDD) ||
         (code >= 0x10000 && code < 0x1F000) || code >= 0x20000;
}

Signs SignsOf(std::string_view text) {
  Signs out;
  out.signs = {kBlank, kBlank};
  text = text.substr(0, kBytesRead);
  for (std::size_t i = 0; i < text.size();) {
    const Character character = CharacterAt(text, i);
    i += character.bytes;
    const std::uint32_t lower = character.code | 0x20;
    if (lower >= 'a' && lower <= 'z' && character.code < 0x80) {
      out.signs.push_back(static_cast<std::uint8_t>(lower - 'a'));
      ++out.latin;
    } else if (IsOtherLatin(character.code)) {
      out.signs.push_back(kOtherLatin);
      ++out.latin;
    } else if (IsOtherScript(character.code)) {
      ++out.other;
    } else if (out.signs.back() != kBlank) {
      out.signs.push_back(kBlank);
    }
  }
  return out;
}

template <typename Visit>
void ForEachTriple(const Signs& text, Visit visit) {
  for (std::size_t i = 2; i < text.signs.size(); ++i) {
    visit((text.signs[i - 2] * kLanguageSigns + text.signs[i - 1]) * kLanguageSigns +
          text.signs[i]);
  }
}

double ScoreOf(const Signs& text, const LanguageProfile::Data& data) {
  const std::size_t triples = text.signs.size() - 2;
  if (triples == 0 || data.steps.empty()) return 0;
  double sum = 0;
  ForEachTriple(text, [&](std::size_t cell) { sum -= data.steps[cell] / kSteps; });
  const auto n = static_cast<double>(triples);
  return (sum / n - data.mean) /
         std::sqrt(data.deviation * data.deviation / n + data.spread * data.spread);
}

// By the method of moments: how far the means of texts lie apart, less what chance explains.
double SpreadOf(const std::vector<Signs>& texts, const LanguageProfile::Data& data) {
  double excess = 0;
  for (const Signs& text : texts) {
    // Without a spread a score has a variance of 1.
    const double score = ScoreOf(text, data);
    const auto n = static_cast<double>(text.signs.size() - 2);
    excess += (score * score - 1) * data.deviation * data.deviation / n;
  }
  return std::sqrt(std::max(0.0, excess / static_cast<double>(texts.size())));
}

// Fills `data` from counts of triples, but for the threshold.
void Learn(const std::vector<double>& counts, LanguageProfile::Data& data) {
  data.steps.resize(kCells);
  double total = 0;
  double sum = 0;
  double squares = 0;
  for (std::size_t pair = 0; pair < kCells / kLanguageSigns; ++pair) {
    const auto first = counts.begin() + static_cast<std::ptrdiff_t>(pair * kLanguageSigns);
    double all = 0;
    for (std::size_t i = 0; i < kLanguageSigns; ++i) all += first[static_cast<std::ptrdiff_t>(i)];
    for (std::size_t i = 0; i < kLanguageSigns; ++i) {
      const double count = first[static_cast<std::ptrdiff_t>(i)];
      const double p = (count + 0.5) / (all + 0.5 * kLanguageSigns);
      const double steps = std::min(255.0, std::round(-kSteps * std::log(p)));
      data.steps[pair * kLanguageSigns + i] = static_cast<std::uint8_t>(steps);
      total += count;
      sum -= count * steps / kSteps;
      squares += count * (steps / kSteps) * (steps / kSteps);
    }
  }
  data.mean = sum / total;
  data.deviation = std::sqrt(std::max(1e-6, squares / total - data.mean * data.mean));
}

}  // namespace

std::string_view LanguageVerdictName(LanguageVerdict verdict) {
  switch (verdict) {
    case LanguageVerdict::kKnown:
      return "known";
    case LanguageVerdict::kMixed:
      return "mixed";
    case LanguageVerdict::kForeign:
      return "foreign";
    case LanguageVerdict::kTooShort:
      break;
  }
  return "too short";
}

Result<LanguageProfile> LanguageProfile::Train(std::span<const std::string> texts,
                                               std::span<const std::string> calibration,
                                               double foreign_rate) {
  constexpr std::size_t kLettersMin = 10'000;
  constexpr std::size_t kCalibrationMin = 100;
  std::vector<double> counts(kCells);
  std::size_t letters = 0;
  for (const std::string& text : texts) {
    const Signs signs = SignsOf(text);
    letters += signs.latin;
    ForEachTriple(signs, [&](std::size_t cell) { counts[cell] += 1; });
  }
  if (letters < kLettersMin) {
    return Fail(Code::kInvalidArgument,
                "expected at least {} letters to learn the language from, got {}", kLettersMin,
                letters);
  }
  LanguageProfile profile;
  Learn(counts, profile.data_);
  std::vector<Signs> known;
  for (const std::string& text : calibration) {
    Signs signs = SignsOf(text);
    if (signs.latin >= kLanguageLettersMin) known.push_back(std::move(signs));
  }
  if (known.size() < kCalibrationMin) {
    return Fail(Code::kInvalidArgument,
                "expected at least {} texts of {} letters to calibrate the language with, got {}",
                kCalibrationMin, kLanguageLettersMin, known.size());
  }
  profile.data_.spread = SpreadOf(known, profile.data_);
  std::vector<double> scores;
  for (const Signs& signs : known) scores.push_back(ScoreOf(signs, profile.data_));
  std::sort(scores.begin(), scores.end());
  profile.data_.threshold =
      scores[static_cast<std::size_t>(foreign_rate * static_cast<double>(scores.size()))];
  return profile;
}

double LanguageProfile::Score(std::string_view text) const { return ScoreOf(SignsOf(text), data_); }

LanguageVerdict LanguageProfile::JudgePart(std::string_view part) const {
  const Signs signs = SignsOf(part);
  const bool latin = signs.latin >= kLanguageLettersMin;
  const bool known = latin && ScoreOf(signs, data_) >= data_.threshold;
  // A name or a quotation in another script does not make a text foreign. One such character often
  // is a syllable or a word.
  if (signs.other * 4 > signs.latin) {
    return known ? LanguageVerdict::kMixed : LanguageVerdict::kForeign;
  }
  if (!latin) return LanguageVerdict::kTooShort;
  return known ? LanguageVerdict::kKnown : LanguageVerdict::kForeign;
}

LanguageVerdict LanguageProfile::Judge(std::string_view text) const {
  std::optional<LanguageVerdict> all;
  while (!text.empty()) {
    std::size_t size = std::min(text.size(), kBytesRead);
    while (size < text.size() && size > 1 &&
           (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) {
      --size;
    }
    const LanguageVerdict part = JudgePart(text.substr(0, size));
    text.remove_prefix(size);
    // The short end of a text says nothing about it.
    if (!all || *all == LanguageVerdict::kTooShort) {
      all = part;
    } else if (part != *all && part != LanguageVerdict::kTooShort) {
      return LanguageVerdict::kMixed;
    }
  }
  return all.value_or(LanguageVerdict::kTooShort);
}

Result<LanguageProfile> LanguageProfile::Restore(Data data) {
  if (!data.steps.empty() && data.steps.size() != kCells) {
    return Fail(Code::kInvalidArgument, "expected {} steps or none, got {}", kCells,
                data.steps.size());
  }
  if (!std::isfinite(data.mean) || !std::isfinite(data.threshold) || !(data.deviation > 0) ||
      !std::isfinite(data.deviation) || !(data.spread >= 0) || !std::isfinite(data.spread)) {
    return Fail(Code::kInvalidArgument,
                "expected finite numbers, a positive deviation and a spread of at least 0");
  }
  LanguageProfile profile;
  profile.data_ = std::move(data);
  return profile;
}

}  // namespace garrison
