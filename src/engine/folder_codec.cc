#include "engine/folder_codec.h"

#include <utility>

namespace garrison {
namespace {

// Byte offset of every code point of valid UTF-8, and the end.
std::vector<std::size_t> CodePointStarts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) starts.push_back(i);
  }
  starts.push_back(text.size());
  return starts;
}

class FolderCodec final : public TextCodec {
 public:
  explicit FolderCodec(std::shared_ptr<const SequenceModel> model) : model_(std::move(model)) {}

  Result<std::vector<TextToken>> Tokenize(std::string_view given, const std::string& prompt,
                                          bool add_special_tokens) const override {
    ASSIGN_OR_RETURN(std::string text, model_->folder().FindPrompt(prompt));
    text += given;
    Tokenizer::Scratch scratch;
    Pieces pieces;
    RETURN_IF_ERROR(tokenizer().TokenizeInFull(text, scratch, pieces));
    Encoding encoding;
    RETURN_IF_ERROR(
        tokenizer().Assemble(pieces, nullptr, add_special_tokens, std::nullopt, encoding));
    const std::vector<std::size_t> starts = CodePointStarts(text);
    std::vector<TextToken> tokens(encoding.ids.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      TextToken& token = tokens[i];
      token.id = encoding.ids[i];
      token.special = encoding.special[i] != 0;
      if (token.special) {
        token.text = tokenizer().TokenOf(token.id);
        continue;
      }
      const auto [start, end] = encoding.ranges[i];
      token.range.emplace(start, end);
      token.text = text.substr(starts[start], starts[end] - starts[start]);
    }
    return tokens;
  }

  std::string Decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const override {
    return tokenizer().Decode(ids, skip_special_tokens);
  }

 private:
  const Tokenizer& tokenizer() const { return *model_->folder().tokenizer; }

  const std::shared_ptr<const SequenceModel> model_;
};

}  // namespace

std::shared_ptr<const TextCodec> MakeFolderCodec(std::shared_ptr<const SequenceModel> model) {
  if (model->folder().tokenizer == nullptr) return nullptr;
  return std::make_shared<FolderCodec>(std::move(model));
}

}  // namespace garrison
