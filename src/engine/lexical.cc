#include "engine/lexical.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "text/fold.h"

namespace garrison {
namespace {

constexpr std::size_t kDims = LexicalTable::kDims;
static_assert(kDims % 16 == 0);
constexpr int kFactorBits = 12;
constexpr std::int64_t kMaxFactor = 32767;
// A word adds at most kMaxWeight << kFactorBits < 2^23 to a component: so many fit into 31 bits.
constexpr int kWordsPerFlush = 128;

// What a component keeps before the last division: squares of 384 of them fit into 63 bits.
constexpr int kComponentBits = 24;

struct Pieces {
  std::array<std::int32_t, LexicalTable::kWordPieces> ids;
  std::size_t count = 0;

  std::span<const std::int32_t> view() const { return {ids.data(), count}; }
};

// Cuts a stream of folded code points into words and calls `sink` with each.
template <typename Sink>
class WordCutter {
 public:
  explicit WordCutter(Sink sink) : sink_(std::move(sink)) {}

  void Push(std::int32_t c) {
    switch (KindOf(c)) {
      case CharKind::kWord:
        word_[size_++] = c;
        previous_ = 0;
        if (size_ == word_.size()) Flush();
        return;
      case CharKind::kSeparator:
        Flush();
        previous_ = 0;
        return;
      case CharKind::kSymbol:
        Flush();
        sink_(std::span<const std::int32_t>(&c, 1));
        previous_ = 0;
        return;
      case CharKind::kIdeographic:
        Flush();
        if (previous_ != 0) sink_(std::span<const std::int32_t>(std::array{previous_, c}));
        sink_(std::span<const std::int32_t>(&c, 1));
        previous_ = c;
        return;
    }
  }

  void Flush() {
    if (size_ > 0) sink_(std::span<const std::int32_t>(word_.data(), size_));
    size_ = 0;
  }

 private:
  Sink sink_;
  std::array<std::int32_t, LexicalTable::kWordCodePoints> word_;
  std::size_t size_ = 0;
  std::int32_t previous_ = 0;  // the ideographic code point just before, 0 if there is none
};

template <typename Sink>
Result<> ForEachWord(std::string_view text, TextFolder& folder, Sink sink) {
  RETURN_IF_ERROR(CheckUtf8(text));
  WordCutter<Sink> cutter(std::move(sink));
  folder.Start(text);
  for (auto part = folder.Next(); !part.empty(); part = folder.Next()) {
    for (const std::int32_t c : part) cutter.Push(c);
  }
  cutter.Flush();
  return {};
}

std::int64_t SumOfSquares(const std::int16_t* values) {
  // |value| <= 65 * 128, so that 16 squares fit into 31 bits.
  constexpr std::size_t kLanes = kDims / 16;
  std::array<std::int32_t, kLanes> lanes = {};
  std::int32_t* const sums = lanes.data();
  for (std::size_t start = 0; start < kDims; start += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) sums[i] += values[start + i] * values[start + i];
  }
  return std::accumulate(lanes.begin(), lanes.end(), std::int64_t{0});
}

// Writes the first `size` of `components` with length 1; false if they are all 0.
bool Normalise(std::span<const std::int64_t> components, float* out) {
  std::int64_t largest = 0;
  for (const std::int64_t x : components) largest = std::max(largest, std::abs(x));
  if (largest == 0) return false;
  const int shift = std::max(
      0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(largest))) - kComponentBits);
  const std::int64_t half = shift > 0 ? std::int64_t{1} << (shift - 1) : 0;
  std::int64_t squares = 0;
  for (const std::int64_t x : components) {
    const std::int64_t rounded = (x + half) >> shift;
    squares += rounded * rounded;
  }
  const double length = std::sqrt(static_cast<double>(squares));
  for (std::size_t d = 0; d < components.size(); ++d) {
    out[d] = static_cast<float>(static_cast<double>((components[d] + half) >> shift) / length);
  }
  return true;
}

Result<> CheckTypes(const TokenIds& tokens) {
  if (!tokens.type_ids.empty() && tokens.type_ids.size() != tokens.ids.size()) {
    return Fail(Code::kInvalidArgument,
                "expected no type ids or one for each id, got {} for {} ids",
                tokens.type_ids.size(), tokens.ids.size());
  }
  if (std::any_of(tokens.type_ids.begin(), tokens.type_ids.end(), [](auto t) { return t != 0; })) {
    return Fail(Code::kInvalidArgument,
                "builtin:lexical has one token type; send 0 or no type ids");
  }
  return {};
}

}  // namespace

// Buffers of one call. `total` is kept in two parts so that the inner loop stays in 32 bits.
struct LexicalEmbedder::Scratch {
  TextFolder folder;
  Pieces pieces;
  alignas(16) std::array<std::int16_t, kDims> word;
  alignas(16) std::array<std::int32_t, kDims> recent;
  std::array<std::int64_t, kDims> total;
  int recent_words = 0;

  void Clear() {
    recent.fill(0);
    total.fill(0);
    recent_words = 0;
  }
  void Flush() {
    for (std::size_t d = 0; d < kDims; ++d) total[d] += recent[d];
    recent.fill(0);
    recent_words = 0;
  }
};

Result<std::unique_ptr<LexicalEmbedder>> LexicalEmbedder::Load(std::span<const std::byte> table,
                                                               const Clock& clock) {
  ASSIGN_OR_RETURN(auto loaded, LexicalTable::Load(table));
  return std::unique_ptr<LexicalEmbedder>(new LexicalEmbedder(std::move(loaded), clock));
}

Result<std::unique_ptr<LexicalEmbedder>> LexicalEmbedder::Load(std::span<const std::byte> table) {
  static const SystemClock kClock;
  return Load(table, kClock);
}

LexicalEmbedder::LexicalEmbedder(std::unique_ptr<const LexicalTable> table, const Clock& clock)
    : table_(std::move(table)), clock_(clock) {
  info_.id = "builtin:lexical";
  info_.revision = table_->revision();
  info_.dimension = kDims;
  info_.family = "lexical";
  info_.pooling = "sum";
  info_.description =
      "lexical similarity (shared words and spelling, not meaning) until a model is installed";
}

void LexicalEmbedder::AddWord(std::span<const std::int32_t> pieces, std::int32_t weight,
                              Scratch& scratch) const {
  std::int16_t* const word = scratch.word.data();
  table_->SumRows(pieces, word);
  const auto norm = static_cast<std::int64_t>(std::sqrt(static_cast<double>(SumOfSquares(word))));
  if (norm == 0) return;  // the pieces cancel out: such a word has no direction
  const auto factor =
      static_cast<std::int16_t>(std::min((std::int64_t{weight} << kFactorBits) / norm, kMaxFactor));
  std::int32_t* const recent = scratch.recent.data();
  for (std::size_t d = 0; d < kDims; ++d) recent[d] += word[d] * factor;
  if (++scratch.recent_words == kWordsPerFlush) scratch.Flush();
}

Result<std::size_t> LexicalEmbedder::AddText(std::string_view text, Scratch& scratch) const {
  std::size_t tokens = 0;
  const auto add = [&](std::span<const std::int32_t> word) {
    const std::int32_t id = table_->FindWord(word);
    ++tokens;
    if (id != LexicalTable::kOpenWord) {
      AddWord(table_->pieces(id), table_->weight(id), scratch);
      return;
    }
    scratch.pieces.count = table_->SpellWord(word, scratch.pieces.ids);
    tokens += scratch.pieces.count;
    AddWord(scratch.pieces.view(), table_->weight(id), scratch);
  };
  RETURN_IF_ERROR(ForEachWord(text, scratch.folder, add));
  return tokens;
}

Result<std::size_t> LexicalEmbedder::AddIds(const TokenIds& tokens, Scratch& scratch) const {
  RETURN_IF_ERROR(CheckTypes(tokens));
  const std::int32_t unlisted = table_->weight(LexicalTable::kOpenWord);
  Pieces& open = scratch.pieces;
  open.count = 0;
  bool is_open = false;
  const auto close = [&] {
    if (open.count > 0) AddWord(open.view(), unlisted, scratch);
    open.count = 0;
  };
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    const std::int32_t id = tokens.ids[i];
    if (id < 0 || id >= id_end()) {
      return Fail(Code::kInvalidArgument, "id {} at position {} is not in 0-{}", id, i,
                  id_end() - 1);
    }
    if (id < table_->first_piece()) {
      close();
      is_open = id == LexicalTable::kOpenWord;
      if (!is_open) AddWord(table_->pieces(id), table_->weight(id), scratch);
      continue;
    }
    if (!is_open) {
      return Fail(Code::kInvalidArgument,
                  "id {} at position {} is a piece outside a word; put id 0 before", id, i);
    }
    if (open.count == open.ids.size()) {
      return Fail(Code::kInvalidArgument, "the word with position {} has more than {} pieces", i,
                  open.ids.size());
    }
    open.ids[open.count++] = id;
  }
  close();
  return tokens.ids.size();
}

Result<Embeddings> LexicalEmbedder::Embed(const EmbedRequest& request,
                                          const RequestContext& context) const {
  const std::size_t dimension = request.dimensions.value_or(kDims);
  if (!request.prompt.empty()) {
    return FailAt("prompt", Code::kInvalidArgument, "builtin:lexical has no prompts, got \"{}\"",
                  request.prompt);
  }
  if (dimension < 1 || dimension > kDims) {
    return FailAt("dimensions", Code::kInvalidArgument, "expected 1-{} for builtin:lexical, got {}",
                  kDims, dimension);
  }
  Embeddings out;
  out.dimension = dimension;
  out.values.resize(request.inputs.size() * dimension);
  out.tokens.reserve(request.inputs.size());
  Scratch scratch;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    RETURN_IF_ERROR(context.Check(clock_.Now()));
    scratch.Clear();
    const auto* text = std::get_if<std::string>(&request.inputs[i]);
    const auto tokens = text != nullptr ? AddText(*text, scratch)
                                        : AddIds(std::get<TokenIds>(request.inputs[i]), scratch);
    if (!tokens) return tl::unexpected(At(fmt::format("input[{}]", i), tokens.error()));
    scratch.Flush();
    const auto components = std::span<const std::int64_t>(scratch.total).first(dimension);
    if (!Normalise(components, out.values.data() + i * dimension)) {
      return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                    "the input has no words to embed; send at least one letter, digit or symbol "
                    "such as an emoji");
    }
    out.tokens.push_back(*tokens);
  }
  out.total_tokens = out.tokens;
  return out;
}

Result<std::vector<std::int32_t>> LexicalEmbedder::Tokenize(std::string_view text) const {
  std::vector<std::int32_t> ids;
  TextFolder folder;
  Pieces pieces;
  const auto add = [&](std::span<const std::int32_t> word) {
    ids.push_back(table_->FindWord(word));
    if (ids.back() != LexicalTable::kOpenWord) return;
    pieces.count = table_->SpellWord(word, pieces.ids);
    const auto view = pieces.view();
    ids.insert(ids.end(), view.begin(), view.end());
  };
  RETURN_IF_ERROR(ForEachWord(text, folder, add));
  return ids;
}

}  // namespace garrison
