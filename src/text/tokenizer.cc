#include "text/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mapped_file.h"
#include "text/fold.h"
#include "text/json_fields.h"
#include "text/tokenizer_parts.h"

namespace garrison {
namespace {

using tokenizers::AddedToken;
using tokenizers::AddedTokenSet;
using tokenizers::Detail;
using tokenizers::TextBuffer;
using tokenizers::TextView;
using tokenizers::TokenSink;

constexpr std::size_t kTextBytesMax = std::size_t{1} << 30;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{256} << 20;

// One range per byte: the character that it belongs to.
void RangesOf(std::string_view text, std::vector<TextRange>& ranges) {
  ranges.resize(text.size());
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!tokenizers::IsTail(text[i])) ++count;
    ranges[i] = {count - 1, count};
  }
}

}  // namespace

struct Tokenizer::Scratch::Buffers {
  std::vector<TextRange> ranges;
  std::vector<AddedTokenSet::Piece> pieces;
  std::vector<AddedTokenSet::Piece> inner_pieces;
  TextBuffer normal[2];
  tokenizers::PreTokens words;
  tokenizers::ModelScratch model;
};

Tokenizer::Scratch::Scratch() : buffers_(std::make_unique<Buffers>()) {}
Tokenizer::Scratch::~Scratch() = default;
Tokenizer::Scratch::Scratch(Scratch&& other) noexcept = default;
Tokenizer::Scratch& Tokenizer::Scratch::operator=(Scratch&& other) noexcept = default;

Tokenizer::Tokenizer(std::unique_ptr<const tokenizers::TokenizerParts> parts)
    : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Parse(std::string_view json) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, tokenizers::ParseTokenizerJson(json));
  ASSIGN_OR_RETURN(auto parts, tokenizers::ParseParts(parsed));
  return std::make_shared<const Tokenizer>(std::move(parts));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  auto file = MappedFile::Open(path, kFileBytesMax);
  if (file) {
    const auto bytes = file->bytes();
    auto tokenizer = Parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!tokenizer) return tl::unexpected(At(path.string(), tokenizer.error()));
    return tokenizer;
  }
  if (file.error().code != Code::kNotFound) return tl::unexpected(file.error());
  ASSIGN_OR_RETURN(const nlohmann::json json, tokenizers::JsonOfFolder(folder));
  auto parts = tokenizers::ParseParts(json);
  if (!parts) return tl::unexpected(At(folder.string(), parts.error()));
  return std::make_shared<const Tokenizer>(*std::move(parts));
}

Result<> Tokenizer::Tokenize(std::string_view text, bool with_ranges, Scratch& scratch,
                             Pieces& out) const {
  return Run(text, with_ranges ? Detail::kRanges : Detail::kIds, scratch, out);
}

Result<> Tokenizer::TokenizeInFull(std::string_view text, Scratch& scratch, Pieces& out) const {
  return Run(text, Detail::kTexts, scratch, out);
}

Result<> Tokenizer::Run(std::string_view text, Detail detail, Scratch& scratch, Pieces& out) const {
  out.ids.clear();
  out.ranges.clear();
  out.words.clear();
  out.texts.clear();
  out.margins.clear();
  if (text.size() > kTextBytesMax) {
    return Fail(Code::kResourceExhausted, "expected a text of at most {} bytes, got {}",
                kTextBytesMax, text.size());
  }
  RETURN_IF_ERROR(CheckUtf8(text));
  Scratch::Buffers& buffers = *scratch.buffers_;
  TextView whole{text, nullptr, 0};
  if (detail != Detail::kIds || parts_->pre_tokenizer.needs_ranges()) {
    RangesOf(text, buffers.ranges);
    whole.ranges = buffers.ranges.data();
  }
  TokenSink sink(parts_->model->vocabulary(), detail, parts_->post.trims_ranges, out);
  const auto add_token = [&](const TextView& view, std::int32_t id) {
    sink.StartText(view);
    sink.NextWord();
    sink.Add(id, 0, view.text.size(), true);
  };
  parts_->added.raw().Cut(text, buffers.pieces);
  for (const AddedTokenSet::Piece& piece : buffers.pieces) {
    const TextView view = whole.Sub(piece.begin, piece.end);
    if (piece.id >= 0) {
      add_token(view, piece.id);
      continue;
    }
    ASSIGN_OR_RETURN(const TextView normal, parts_->normalizer.Apply(view, buffers.normal));
    parts_->added.normalized().Cut(normal.text, buffers.inner_pieces);
    for (const AddedTokenSet::Piece& inner : buffers.inner_pieces) {
      const TextView part = normal.Sub(inner.begin, inner.end);
      if (inner.id >= 0) {
        add_token(part, inner.id);
        continue;
      }
      buffers.words.Start(part);
      RETURN_IF_ERROR(parts_->pre_tokenizer.Apply(buffers.words));
      RETURN_IF_ERROR(parts_->model->Tokenize(buffers.words, buffers.model, sink));
    }
  }
  return {};
}

std::size_t Tokenizer::SpecialTokens(bool pair) const { return parts_->post.SpecialTokens(pair); }

std::string Tokenizer::Decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int32_t id : ids) {
    const AddedToken* added = parts_->added.Find(id);
    if (added == nullptr && !parts_->model->vocabulary().Has(id)) continue;
    const std::string_view token = TokenOf(id);
    if (skip_special_tokens && parts_->added.IsSpecial(token)) continue;
    tokens.emplace_back(token);
  }
  return parts_->decoder.Decode(std::move(tokens));
}

Result<std::string> Tokenizer::Normalize(std::string_view text) const {
  RETURN_IF_ERROR(CheckUtf8(text));
  TextBuffer buffers[2];
  ASSIGN_OR_RETURN(const TextView view, parts_->normalizer.Apply({text, nullptr, 0}, buffers));
  return std::string(view.text);
}

std::size_t Tokenizer::vocabulary_size() const {
  return std::max(parts_->model->vocabulary().end(), parts_->added.end());
}

std::optional<std::int32_t> Tokenizer::IdOf(std::string_view token) const {
  if (const AddedToken* added = parts_->added.Find(token)) return added->id;
  return parts_->model->vocabulary().IdOf(token);
}

std::string_view Tokenizer::TokenOf(std::int32_t id) const {
  const AddedToken* added = parts_->added.Find(id);
  return added != nullptr ? std::string_view(added->content)
                          : parts_->model->vocabulary().TokenOf(id);
}

const std::optional<Truncation>& Tokenizer::truncation() const { return parts_->truncation; }
const std::optional<Padding>& Tokenizer::padding() const { return parts_->padding; }

}  // namespace garrison
