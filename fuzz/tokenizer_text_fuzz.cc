// Any text through each of the fixture tokenizers: UTF-8 is never refused, ids are in the
// vocabulary, ranges lie in the text and do not go back, and ids decode.
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "text/fold.h"
#include "text/tokenizer.h"

namespace {

std::vector<std::shared_ptr<const garrison::Tokenizer>> LoadAll() {
  const auto json = nlohmann::json::parse(
      std::ifstream(GARRISON_SOURCE_DIR "/tests/fixtures/tokenizers/fixtures.json"));
  std::vector<std::shared_ptr<const garrison::Tokenizer>> all;
  for (const auto& item : json) all.push_back(garrison::Tokenizer::Parse(item.dump()).value());
  return all;
}

void CheckPieces(const garrison::Tokenizer& tokenizer, const garrison::Pieces& pieces,
                 std::size_t characters) {
  CHECK(pieces.ranges.size() == pieces.ids.size() && pieces.words.size() == pieces.ids.size());
  std::int32_t word = 0;
  for (std::size_t i = 0; i < pieces.ids.size(); ++i) {
    CHECK(pieces.ids[i] >= 0);
    CHECK(static_cast<std::size_t>(pieces.ids[i]) < tokenizer.vocabulary_size());
    const garrison::TextRange& range = pieces.ranges[i];
    CHECK(range.start <= range.end && range.end <= characters);
    CHECK(i == 0 || range.start >= pieces.ranges[i - 1].start);
    CHECK(pieces.words[i] >= word);
    word = pieces.words[i];
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tokenizers = LoadAll();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool utf8 = garrison::CheckUtf8(text).has_value();
  std::size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  garrison::Tokenizer::Scratch scratch;
  garrison::Pieces full, ids;
  for (const auto& tokenizer : tokenizers) {
    CHECK(tokenizer->TokenizeInFull(text, scratch, full).has_value() == utf8);
    CHECK(tokenizer->Tokenize(text, false, scratch, ids).has_value() == utf8);
    if (!utf8) continue;
    CHECK(full.ids == ids.ids);
    CheckPieces(*tokenizer, full, characters);
    CHECK(garrison::CheckUtf8(tokenizer->Decode(full.ids, false)).has_value());
  }
  return 0;
}
