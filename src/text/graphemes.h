// Extended grapheme clusters (UAX 29), as the reference library's segmentation has them.
#pragma once

#include <cstddef>
#include <string_view>

namespace garrison::tokenizers {

// The end of the cluster that begins at `at` (< text.size()).
std::size_t ClusterEnd(std::string_view text, std::size_t at);

}  // namespace garrison::tokenizers
