// Files that are damaged or hostile: a typed error that names the place, no crash.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/test_tokenizers.h"
#include "text/tokenizer.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

Error ErrorOf(std::string_view json) {
  const auto tokenizer = Tokenizer::Parse(json);
  EXPECT_FALSE(tokenizer) << json.substr(0, 200);
  return tokenizer ? Error{} : tokenizer.error();
}

// The fixture with one place changed.
Error Changed(const char* name, const char* pointer, const Json& value) {
  Json json = FixtureJson()[name];
  json[Json::json_pointer(pointer)] = value;
  return ErrorOf(json.dump());
}

void ExpectAt(const Error& error, Code code, std::string_view where) {
  EXPECT_EQ(error.code, code) << error.ToString();
  EXPECT_NE(error.where.find(where), std::string::npos) << error.ToString();
}

TEST(TokenizerLoad, RefusesWhatIsNoJson) {
  for (const std::string_view text : {"", "x", "{", "[]", "null", "{\"a\":1e999}", "\"\xFF\""}) {
    EXPECT_EQ(ErrorOf(text).code, Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(ErrorOf(std::string(1'000'000, '[')).code, Code::kInvalidArgument);
}

TEST(TokenizerLoad, NamesTheComponentThatItDoesNotKnow) {
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    const Error error = Changed("word-piece", (std::string("/") + part).c_str(),
                                {{"type", "Nonsense"}, {"vocab", Json::object()}});
    ExpectAt(error, Code::kUnimplemented, part);
    EXPECT_NE(error.message.find("\"Nonsense\""), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("known are"), std::string::npos) << error.message;
  }
  ExpectAt(Changed("char-bpe", "/model/dropout", 0.1), Code::kUnimplemented, "model.dropout");
}

TEST(TokenizerLoad, RefusesBadIds) {
  const Code invalid = Code::kInvalidArgument;
  const char* place = "/model/vocab/cat";
  ExpectAt(Changed("word-piece", place, -1), invalid, "model.vocab[\"cat\"]");
  ExpectAt(Changed("word-piece", place, 1.5), invalid, "model.vocab[\"cat\"]");
  ExpectAt(Changed("word-piece", place, "7"), invalid, "model.vocab[\"cat\"]");
  ExpectAt(Changed("word-piece", place, 5), invalid, "model.vocab");  // "the" has it
  ExpectAt(Changed("word-piece", place, 9223372036854775807), invalid, "model.vocab");
  ExpectAt(Changed("word-piece", place, 2147483646), invalid, "model.vocab");
  ExpectAt(Changed("word-piece", "/added_tokens/5/id", 2147483646), invalid, "added_tokens[5].id");
  ExpectAt(Changed("word-piece", "/added_tokens/5/id", -3), invalid, "added_tokens[5].id");
  ExpectAt(Changed("unigram-always", "/model/unk_id", 12), invalid, "model.unk_id");
  ExpectAt(Changed("unigram-always", "/model/vocab/3", {"a"}), invalid, "model.vocab[3]");
  ExpectAt(Changed("unigram-always", "/model/vocab/3/0", "b"), invalid, "model.vocab");
}

TEST(TokenizerLoad, RefusesMergesThatAreNotInTheVocabulary) {
  const Code invalid = Code::kInvalidArgument;
  ExpectAt(Changed("char-bpe", "/model/merges/1", "a z"), invalid, "model.merges[1]");
  ExpectAt(Changed("char-bpe", "/model/merges/1", "b a"), invalid, "model.merges[1]");
  ExpectAt(Changed("char-bpe", "/model/merges/1", "a b c"), invalid, "model.merges[1]");
  ExpectAt(Changed("char-bpe", "/model/merges/1", 3), invalid, "model.merges[1]");
}

TEST(TokenizerLoad, RefusesDamagedCharacterMaps) {
  const std::string map =
      FixtureJson()["unigram-always"]["normalizer"]["normalizers"][0]["precompiled_charsmap"];
  const char* place = "/normalizer/normalizers/0/precompiled_charsmap";
  for (const std::string& bad : {std::string(), std::string("@@@@"), std::string("AAAA"),
                                 map.substr(0, 400), map.substr(1)}) {
    ExpectAt(Changed("unigram-always", place, bad), Code::kInvalidArgument, "precompiled_charsmap");
  }
  // Units that point anywhere: loads, and reads nothing beyond its end.
  std::string wild = map;
  for (std::size_t i = 8; i < 4000; i += 3) wild[i] = '/';
  Json json = FixtureJson()["unigram-always"];
  json[Json::json_pointer(place)] = wild;
  const auto tokenizer = Tokenizer::Parse(json.dump());
  if (!tokenizer) return;
  Tokenizer::Scratch scratch;
  Pieces pieces;
  EXPECT_TRUE((*tokenizer)->Tokenize("\u00e9 a \u00aa\u0301 b", true, scratch, pieces));
}

TEST(TokenizerLoad, RefusesStepsThatMakeTextsGrowWithoutMeasure) {
  ExpectAt(Changed("replace", "/normalizer/normalizers/0/content", std::string(5000, 'x')),
           Code::kInvalidArgument, "normalizer.normalizers[0].content");
  Json json = FixtureJson()["replace"];
  const Json doubling = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  json["normalizer"]["normalizers"] = std::vector<Json>(40, doubling);
  const auto tokenizer = Tokenizer::Parse(json.dump()).value();
  Tokenizer::Scratch scratch;
  Pieces pieces;
  const auto done = tokenizer->Tokenize("a", false, scratch, pieces);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kResourceExhausted);
  ExpectAt(Changed("word-piece", "/padding", {{"strategy", {{"Fixed", 99999999}}}}),
           Code::kInvalidArgument, "padding.strategy.Fixed");
}

TEST(TokenizerLoad, RefusesTemplatesThatCannotBeFilled) {
  const Code invalid = Code::kInvalidArgument;
  ExpectAt(Changed("word-piece", "/post_processor/special_tokens", Json::object()), invalid,
           "post_processor.special_tokens");
  ExpectAt(Changed("word-piece", "/post_processor/single/1/Sequence/id", "C"), invalid,
           "post_processor.single[1]");
  ExpectAt(Changed("word-piece", "/post_processor/pair/1/Sequence/id", "B"), Code::kUnimplemented,
           "post_processor.pair");
  ExpectAt(Changed("split-Isolated", "/pre_tokenizer/pattern/Regex", "(a"), invalid,
           "pre_tokenizer.pattern");
}

class Folder : public ::testing::Test {
 protected:
  Folder() : path_(std::filesystem::temp_directory_path() / "garrison_tokenizer_load_test") {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() override { std::filesystem::remove_all(path_); }
  void Write(const char* name, std::string_view content) { std::ofstream(path_ / name) << content; }
  std::vector<std::int32_t> Ids(std::string_view text) {
    const auto tokenizer = Tokenizer::Load(path_);
    EXPECT_TRUE(tokenizer) << tokenizer.error().ToString();
    Pieces pieces;
    Encoding encoding;
    if (tokenizer) {
      EXPECT_TRUE((*tokenizer)->Tokenize(text, false, scratch_, pieces));
      EXPECT_TRUE((*tokenizer)->Assemble(pieces, nullptr, true, std::nullopt, encoding));
    }
    return encoding.ids;
  }
  const std::filesystem::path path_;
  Tokenizer::Scratch scratch_;
};

using IdList = std::vector<std::int32_t>;

TEST_F(Folder, SaysWhatItLookedFor) {
  const auto tokenizer = Tokenizer::Load(path_);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, Code::kNotFound);
  EXPECT_NE(tokenizer.error().message.find("vocab.txt"), std::string::npos);
}

TEST_F(Folder, ReadsBertsVocabulary) {
  Write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\nThe\n");
  EXPECT_EQ(Ids("The cats [MASK]"), (IdList{2, 5, 6, 7, 4, 3}));
  Write("tokenizer_config.json", R"({"tokenizer_class":"BertTokenizer","do_lower_case":false})");
  EXPECT_EQ(Ids("The cats"), (IdList{2, 8, 6, 7, 3}));
  Write("tokenizer_config.json", R"({"tokenizer_class":"XlnetTokenizer"})");
  EXPECT_EQ(Tokenizer::Load(path_).error().code, Code::kUnimplemented);
}

TEST_F(Folder, ReadsRobertasFiles) {
  Write("vocab.json",
        R"({"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"a":4,"b":5,"ab":6,"Ġ":7,"<mask>":8})");
  Write("merges.txt", "#version: 0.2\na b\n");
  EXPECT_EQ(Ids("ab b<mask>"), (IdList{0, 6, 7, 5, 8, 2}));
  Write("tokenizer_config.json", R"({"tokenizer_class":"GPT2TokenizerFast","eos_token":"<s>"})");
  EXPECT_EQ(Ids("ab<s>"), (IdList{6, 0}));
}

}  // namespace
}  // namespace garrison
