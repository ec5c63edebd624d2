// An evaluation as one page for people: self-contained, readable without network and without
// scripts, light and dark. The only script makes PNG files of the plots; the page's policy allows
// that one by its hash and nothing else.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "guard/evaluation.h"

namespace garrison {

// Turns of one conversation in its table; the CSV beside the page has all.
inline constexpr std::size_t kPageTurnsMax = 200;
// Of one text, and of all texts together (then each gets its share, but never below 100 bytes).
inline constexpr std::size_t kPageTextBytes = 2000;
inline constexpr std::size_t kPageTextBytesTotal = std::size_t{16} << 20;

struct EvaluationHtmlOptions {
  bool texts = true;  // what was said
  // Files that took no part, with the reason.
  std::vector<std::pair<std::string, std::string>> left_out = {};
};

// Every text in it is escaped. The same evaluation gives the same bytes.
std::string EvaluationHtml(const Evaluation& evaluation, const EvaluationHtmlOptions& options);

}  // namespace garrison
