// Is a text in a language that the guard was calibrated for? One language is known by the letters
// that follow one another in it; what does not look like it is foreign, whatever it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

enum class LanguageVerdict {
  kKnown,
  kMixed,     // the language and, beside it or in another part of the text, a foreign one
  kForeign,   // another script, or letters that do not follow one another like this
  kTooShort,  // fewer than kLanguageLettersMin letters of the Latin script: cannot be told
};

// "known", "mixed", "foreign", "too short".
std::string_view LanguageVerdictName(LanguageVerdict verdict);

inline constexpr std::size_t kLanguageLettersMin = 16;

// Letters a-z without case, everything between words as one blank, and one sign for the other
// letters of the Latin script.
inline constexpr std::size_t kLanguageSigns = 28;

// The log-probability of a letter after the two before it, in steps of 1/16 below 0.
class LanguageProfile {
 public:
  // A profile that calls nothing foreign but other scripts.
  LanguageProfile() = default;

  // Learns from texts of the language; `foreign_rate` of `calibration`, at least 100 texts that are
  // long enough and did not train it, will be called foreign by mistake. INVALID_ARGUMENT: too
  // little text (fewer than 10,000 letters) or too few calibration texts.
  static Result<LanguageProfile> Train(std::span<const std::string> texts,
                                       std::span<const std::string> calibration,
                                       double foreign_rate);

  // Reads all of it, in parts of 4,000 bytes.
  LanguageVerdict Judge(std::string_view text) const;
  // How much likelier or less likely than usual the letters are, (m - mean) / sqrt(deviation^2 / n
  // + spread^2) for a mean m of n letters; 0 for a text without letters. Texts differ by more than
  // chance, so that without the spread every long text would be foreign. Reads the first 4,000
  // bytes.
  double Score(std::string_view text) const;

  // The content of the guard file. Restore: INVALID_ARGUMENT for a wrong size or numbers that are
  // not finite or no deviation.
  struct Data {
    std::vector<std::uint8_t> steps;  // [signs^3], of -16 log P, at most 255; empty: no profile
    double mean = 0;                  // of log P over the language's letters
    double deviation = 1;             // of a letter's
    double spread = 0;                // of texts' means beyond chance
    double threshold = 0;             // scores below are foreign
    bool operator==(const Data&) const = default;
  };
  const Data& data() const { return data_; }
  static Result<LanguageProfile> Restore(Data data);

 private:
  LanguageVerdict JudgePart(std::string_view part) const;

  Data data_;
};

}  // namespace garrison
