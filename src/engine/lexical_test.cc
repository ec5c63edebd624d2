#include "engine/lexical.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace garrison {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

const LexicalEmbedder& Model() {
  static const std::string table = ReadFile(GARRISON_SOURCE_DIR "/assets/lexical.bin");
  static const auto model = LexicalEmbedder::Load(std::as_bytes(std::span(table)));
  return **model;
}

Result<Embeddings> Embed(std::vector<EmbedInput> inputs,
                         std::optional<std::size_t> dimensions = {}) {
  return Model().Embed({.inputs = std::move(inputs), .dimensions = dimensions}, {});
}

std::vector<float> Vector(const std::string& text) {
  auto result = Embed({text});
  EXPECT_TRUE(result) << result.error().ToString();
  return result ? result->values : std::vector<float>(LexicalTable::kDims);
}

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

double Similarity(const std::string& a, const std::string& b) { return Dot(Vector(a), Vector(b)); }

std::string Hex(std::span<const float> values) {
  std::string out;
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) out += fmt::format("{:02x}", bits >> shift & 0xFF);
  }
  return out;
}

TEST(Lexical, SaysWhatItIs) {
  const ModelInfo& info = Model().info();
  EXPECT_EQ(info.id, "builtin:lexical");
  EXPECT_EQ(info.dimension, 384U);
  EXPECT_EQ(info.revision.size(), 64U);
  EXPECT_NE(info.description.find("lexical"), std::string::npos);
}

TEST(Lexical, MatchesTheReferenceImplementationExactly) {
  const auto cases =
      nlohmann::json::parse(ReadFile(GARRISON_SOURCE_DIR "/tests/fixtures/lexical/golden.json"));
  ASSERT_GE(cases.size(), 10U);
  for (const auto& golden : cases) {
    const auto text = golden.at("text").get<std::string>();
    const auto ids = Model().Tokenize(text);
    ASSERT_TRUE(ids);
    EXPECT_EQ(*ids, golden.at("ids").get<std::vector<std::int32_t>>()) << text;
    EXPECT_EQ(Hex(Vector(text)), golden.at("vector").get<std::string>()) << text;
  }
}

TEST(Lexical, EveryVectorHasLengthOne) {
  for (const char* text : {"a", "A man is playing a guitar.", "7", "\U0001F600", "zzzzqqq"}) {
    const auto v = Vector(text);
    EXPECT_NEAR(Dot(v, v), 1, 1e-6) << text;
  }
}

TEST(Lexical, IdsGiveTheSameBytesAsTheText) {
  for (const char* text : {"A man is playing a guitar.", "flurbing zorkmids",
                           "\u4F60\u597D \U0001F600 42", "caf\u00E9 na\u00EFve 2003"}) {
    const auto ids = Model().Tokenize(text);
    ASSERT_TRUE(ids);
    const auto both = Embed({text, TokenIds{.ids = *ids, .type_ids = {}}});
    ASSERT_TRUE(both) << both.error().ToString();
    EXPECT_EQ(Hex(both->row(0)), Hex(both->row(1))) << text;
    EXPECT_EQ(both->tokens[0], ids->size());
    EXPECT_EQ(both->tokens[1], ids->size());
  }
}

TEST(Lexical, AnyTextIsTheSameAloneInABatchAndAsIds) {
  EXPECT_TRUE(rc::check([] {
    const auto code_points = *rc::gen::container<std::vector<char32_t>>(rc::gen::oneOf(
        rc::gen::inRange<char32_t>(0x20, 0x7F), rc::gen::inRange<char32_t>(0xA0, 0x600),
        rc::gen::inRange<char32_t>(0x3000, 0xA000), rc::gen::inRange<char32_t>(0x1F300, 0x1F700)));
    std::string text = "x ";
    for (const char32_t c : code_points) {
      if (c < 0x80) {
        text += static_cast<char>(c);
      } else if (c < 0x800) {
        text += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
      } else if (c < 0x10000) {
        text += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                 static_cast<char>(0x80 | (c & 0x3F))};
      } else {
        text += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
                 static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
      }
    }
    const auto ids = Model().Tokenize(text);
    RC_ASSERT(ids.has_value());
    const auto batch = Embed({"another text", text, TokenIds{.ids = *ids, .type_ids = {}}, text});
    const auto alone = Embed({text});
    RC_ASSERT(batch.has_value() && alone.has_value());
    for (std::size_t i = 1; i < 4; ++i) RC_ASSERT(Hex(batch->row(i)) == Hex(alone->row(0)));
  }));
}

TEST(Lexical, ThreadsComputeTheSameBytes) {
  const std::string expected = Hex(Vector("The quick brown fox"));
  std::vector<std::string> got(4);
  std::vector<std::thread> threads;
  for (std::string& out : got) {
    threads.emplace_back([&out] {
      for (int i = 0; i < 50; ++i) out = Hex(Embed({"noise", "The quick brown fox"})->row(1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& out : got) EXPECT_EQ(out, expected);
}

TEST(Lexical, CloserTextsAreCloser) {
  const std::string query = "How do I reset my password?";
  EXPECT_GT(Similarity(query, "resetting a forgotten password"),
            Similarity(query, "opening hours on Sunday"));
  EXPECT_GT(Similarity("running dogs", "a dog runs"), Similarity("running dogs", "a cat sleeps"));
  EXPECT_NEAR(Similarity("Caf\u00E9!", "cafe\u0301"), 1, 1e-6);
  EXPECT_GT(Similarity("\u4F60\u597D\u4E16\u754C", "\u4F60\u597D\u554A"),
            Similarity("\u4F60\u597D\u4E16\u754C", "\u6570\u636E\u5E93"));
  EXPECT_GT(Similarity("n\u1EA5u ph\u1EDF b\u00F2", "ph\u1EDF b\u00F2 H\u00E0 N\u1ED9i"),
            Similarity("n\u1EA5u ph\u1EDF b\u00F2", "th\u1EDDi ti\u1EBFt h\u00F4m nay"));
  EXPECT_LT(Similarity("\U0001F600", "\U0001F697"), 0.5);
}

TEST(Lexical, TextWithoutWordsIsAnErrorAndNeverAZeroVector) {
  for (const char* text : {"", "   \n\t", "?!...", "\u200B", "\u3002\uFF0C", "+ - $"}) {
    const auto result = Embed({"fine", text});
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, Code::kInvalidArgument);
    EXPECT_EQ(result.error().where, "input[1]");
    EXPECT_NE(result.error().message.find("no words to embed"), std::string::npos);
  }
  EXPECT_FALSE(Embed({TokenIds{}}));
  EXPECT_FALSE(Embed({TokenIds{.ids = {0, 0}, .type_ids = {}}}));
}

TEST(Lexical, InvalidUtf8NamesTheInputAndTheByte) {
  for (const std::size_t offset : {0U, 1U, 7U, 8U, 100U}) {
    const auto result = Embed({std::string(offset, 'a') + "\xFF tail"});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kInvalidArgument);
    EXPECT_EQ(result.error().where, "input[0]");
    EXPECT_NE(result.error().message.find(fmt::format("byte {} ", offset)), std::string::npos);
    EXPECT_FALSE(Model().Tokenize(std::string(offset, 'a') + "\xFF"));
  }
}

TEST(Lexical, RefusesIdsThatMeanNothing) {
  const std::int32_t hashed = Model().id_end() - 1;
  const auto fails = [](TokenIds tokens) {
    const auto result = Embed({std::move(tokens)});
    return !result && result.error().code == Code::kInvalidArgument &&
           result.error().where == "input[0]";
  };
  EXPECT_TRUE(fails({.ids = {-1}, .type_ids = {}}));
  EXPECT_TRUE(fails({.ids = {1, Model().id_end()}, .type_ids = {}}));
  EXPECT_TRUE(fails({.ids = {hashed}, .type_ids = {}}));
  EXPECT_TRUE(fails({.ids = {0, hashed, 1, hashed}, .type_ids = {}}));
  EXPECT_TRUE(fails({.ids = {1}, .type_ids = {0, 0}}));
  EXPECT_TRUE(fails({.ids = {1}, .type_ids = {1}}));
  std::vector<std::int32_t> longest(1 + LexicalTable::kWordPieces, hashed);
  longest[0] = 0;
  EXPECT_TRUE(Embed({TokenIds{.ids = longest, .type_ids = {}}}));
  longest.push_back(hashed);
  EXPECT_TRUE(fails({.ids = longest, .type_ids = {}}));
}

TEST(Lexical, FewerDimensionsAreTheFirstOnesNormalisedAgain) {
  const auto full = Vector("A man is playing a guitar.");
  const auto part = Embed({"A man is playing a guitar."}, 128);
  ASSERT_TRUE(part);
  ASSERT_EQ(part->dimension, 128U);
  const double length = std::sqrt(Dot(std::span(full).first(128), std::span(full).first(128)));
  EXPECT_NEAR(Dot(part->row(0), part->row(0)), 1, 1e-6);
  for (std::size_t d = 0; d < 128; ++d) EXPECT_NEAR(part->values[d], full[d] / length, 1e-6);
  EXPECT_FALSE(Embed({"x"}, 0));
  EXPECT_FALSE(Embed({"x"}, 385));
}

TEST(Lexical, StopsWhenTheClientLeavesOrTimeIsUp) {
  const std::string table = ReadFile(GARRISON_SOURCE_DIR "/assets/lexical.bin");
  ManualClock clock;
  const auto model = LexicalEmbedder::Load(std::as_bytes(std::span(table)), clock);
  ASSERT_TRUE(model);
  RequestContext context;
  context.deadline = clock.Now() + std::chrono::seconds(1);
  EXPECT_TRUE((*model)->Embed({.inputs = {"x"}, .dimensions = {}}, context));
  clock.Advance(std::chrono::seconds(2));
  const auto late = (*model)->Embed({.inputs = {"x"}, .dimensions = {}}, context);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kDeadlineExceeded);
}

TEST(Lexical, MegabytesWithAndWithoutSpaces) {
  const std::string gap(300, ' ');  // fewer words, so that sanitizers finish soon
  std::string spaced;
  while (spaced.size() < 10'000'000) spaced += "A man is playing a guitar." + gap;
  EXPECT_NEAR(Dot(Vector(spaced), Vector("A man is playing a guitar.")), 1, 1e-5);
  EXPECT_NEAR(Dot(Vector(std::string(1'000'000, 'a')), Vector(std::string(320, 'a'))), 1, 1e-5);
  std::string ideographs;
  while (ideographs.size() < 300'000) ideographs += "\u4F60\u597D";
  EXPECT_GT(Dot(Vector(ideographs), Vector("\u4F60\u597D\u4F60\u597D")), 0.9);
}

// One record of a CSV file without line breaks in its fields.
std::vector<std::string> Fields(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      // A doubled quote inside a quoted field closes and opens again: keep one of the two.
      quoted = !quoted;
      if (quoted && !out.back().empty()) out.back() += c;
    } else if (c == ',' && !quoted) {
      out.emplace_back();
    } else if (c != '\r') {
      out.back() += c;
    }
  }
  return out;
}

std::vector<double> Ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] < values[b]; });
  std::vector<double> out(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t j = i; j < end; ++j) out[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return out;
}

double Pearson(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sa += a[i];
    sb += b[i];
    saa += a[i] * a[i];
    sbb += b[i] * b[i];
    sab += a[i] * b[i];
  }
  return (sab - sa * sb / n) / std::sqrt((saa - sa * sa / n) * (sbb - sb * sb / n));
}

TEST(Lexical, RanksTheStsDevPairs) {
  const char* shared = std::getenv("GARRISON_SHARED");
  if (shared == nullptr) {
    GTEST_SKIP() << "set GARRISON_SHARED to the folder with data/stsb/stsb-en-dev.csv to run this";
  }
  std::ifstream in(std::string(shared) + "/data/stsb/stsb-en-dev.csv");
  ASSERT_TRUE(in);
  std::vector<double> similarities, scores;
  for (std::string line; std::getline(in, line);) {
    const auto fields = Fields(line);
    ASSERT_EQ(fields.size(), 3U) << line;
    similarities.push_back(Similarity(fields[0], fields[1]));
    scores.push_back(std::stod(fields[2]));
  }
  ASSERT_EQ(scores.size(), 1500U);
  const double spearman = Pearson(Ranks(similarities), Ranks(scores));
  RecordProperty("spearman", std::to_string(spearman));
  std::printf("STS dev Spearman %.4f\n", spearman);
  EXPECT_GE(spearman, 0.79);
}

}  // namespace
}  // namespace garrison
