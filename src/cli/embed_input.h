// Where the texts of a model verb come from. Private to cli/.
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "cli/text_input.h"

namespace garrison {

// Calls `take` with batches of records in order, in constant memory: the texts of the command line
// if there are any, else --input, else standard input. Errors name the line.
Result<> ForEachBatch(const CommandContext& context, const ModelFlags& flags,
                      const LimitSettings& limits,
                      const std::function<Result<>(std::vector<InputRecord>&)>& take);

// Embeds one text or id list per record. An error names the line of its record instead of
// "input[i]".
Result<Embeddings> EmbedRecords(const Embedder& embedder, const std::vector<InputRecord>& records,
                                const EmbedRequest& request);

}  // namespace garrison
