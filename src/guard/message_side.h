// One side of a turn as the probes see it: its vectors and its words.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/request_context.h"
#include "guard/whitening.h"
#include "guard/windows.h"
#include "guard/word_features.h"

namespace garrison {

// Of the windows, and of the whole message, which is context for the other side. Everything is
// empty for a side that did not speak.
struct MessageSide {
  std::vector<TextWindow> places;  // of the windows in the text
  RowMatrixF windows;              // [windows, d], the embedder's vectors
  RowMatrixF whole;                // [1, d], likewise; the window itself if there is only one
  std::vector<std::vector<SparseValue>> window_words;
  std::vector<SparseValue> whole_words;
  std::size_t tokens = 0;  // that the embedder read

  bool empty() const { return windows.rows() == 0; }
};

// One call of the embedder for all windows of all texts; a text that is unset gives an empty side.
// Windows in which the embedder finds nothing to read are left out (that takes more calls).
// INVALID_ARGUMENT for a text of blanks or of such windows alone, and the errors of the embedder;
// all name the text as "input[i]".
Result<std::vector<MessageSide>> EmbedSides(const Embedder& embedder,
                                            std::span<const std::optional<std::string>> texts,
                                            const RequestContext& context);

}  // namespace garrison
