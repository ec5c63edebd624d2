// The normalisation forms NFC, NFD, NFKC, NFKD with the reference library's Unicode version.
#pragma once

#include <cstdint>
#include <vector>

#include "text/aligned_text.h"

namespace garrison::tokenizers {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// False when `in` is in that form already; `out` is then not defined.
bool ApplyForm(UnicodeForm form, const TextView& in, TextBuffer& out);

// A character of a decomposition; `change` as Rewriter takes it.
struct FormChar {
  std::uint32_t code_point;
  std::uint8_t combining_class;
  int change;
};

// Appends the decomposition of `c` and keeps what is after the last starter in canonical order.
void Decompose(std::uint32_t c, bool compatible, std::vector<FormChar>& out);

}  // namespace garrison::tokenizers
