// `builtin:lexical`: the text embedder that is always there, for when no model is installed.
//
// It compares spelling, not meaning: texts are close when they share words, word forms and the
// words that mattered in its training set. Integer arithmetic up to one last division, so that
// every machine computes the same bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/embedder.h"
#include "engine/lexical_table.h"

namespace garrison {

class LexicalEmbedder final : public Embedder {
 public:
  // `table` (the bytes of lexical.bin) and `clock` outlive the embedder. DATA_LOSS when the table
  // is not whole.
  static Result<std::unique_ptr<LexicalEmbedder>> Load(std::span<const std::byte> table,
                                                       const Clock& clock);
  // The same with the system's clock.
  static Result<std::unique_ptr<LexicalEmbedder>> Load(std::span<const std::byte> table);

  const ModelInfo& info() const override { return info_; }
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override;

  // The ids of a text: one for a listed word; for another one id 0 and then those of its pieces.
  // Embedding the ids gives the same bytes as embedding the text. Empty if the text has no words.
  // INVALID_ARGUMENT: not UTF-8.
  Result<std::vector<std::int32_t>> Tokenize(std::string_view text) const;
  // Every id is in [0, id_end()).
  std::int32_t id_end() const { return table_->id_end(); }

 private:
  struct Scratch;

  LexicalEmbedder(std::unique_ptr<const LexicalTable> table, const Clock& clock);
  Result<std::size_t> AddText(std::string_view text, Scratch& scratch) const;
  Result<std::size_t> AddIds(const TokenIds& tokens, Scratch& scratch) const;
  void AddWord(std::span<const std::int32_t> pieces, std::int32_t weight, Scratch& scratch) const;

  // Constant after construction.
  std::unique_ptr<const LexicalTable> table_;
  const Clock& clock_;
  ModelInfo info_;
};

}  // namespace garrison
