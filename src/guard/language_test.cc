#include "guard/language.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace garrison {
namespace {

// Sentences that are put together from ordinary words, so that the test needs no corpus.
std::vector<std::string> English(std::size_t count, std::uint64_t seed) {
  static const std::vector<std::string> kWords = {
      "the",    "house",   "was",    "built",    "near",    "river",  "and",      "people",
      "would",  "often",   "walk",   "there",    "with",    "their",  "children", "because",
      "water",  "looked",  "bright", "in",       "morning", "light",  "which",    "made",
      "every",  "window",  "shine",  "like",     "gold",    "while",  "someone",  "asked",
      "about",  "weather", "before", "going",    "home",    "again",  "through",  "quiet",
      "street", "after",   "school", "thinking", "of",      "dinner", "that",     "evening",
      "should", "have",    "been",   "early",    "but",     "never"};
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text;
    for (int w = 0; w < 12; ++w) {
      seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
      text += kWords[(seed >> 33) % kWords.size()] + " ";
    }
    out.push_back(text);
  }
  return out;
}

LanguageProfile Trained() {
  return LanguageProfile::Train(English(400, 1), English(400, 2), 0.01).value();
}

TEST(Language, KnowsItsOwn) {
  const LanguageProfile profile = Trained();
  std::size_t foreign = 0;
  for (const std::string& text : English(1000, 3)) {
    foreign += profile.Judge(text) == LanguageVerdict::kForeign ? 1 : 0;
  }
  EXPECT_LE(foreign, 40u);  // 1 % is aimed at
}

// Texts that each have their own few words, as real ones have their topics.
std::vector<std::string> Topics(std::size_t count, int words, std::uint64_t seed) {
  const std::vector<std::string> all = English(60, 9);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::string& topic = all[(seed >> 33) % all.size()];
    std::string text;
    for (int w = 0; w < words; w += 12) text += topic;
    out.push_back(text);
  }
  return out;
}

TEST(Language, ALongTextOfOneTopicIsNotForeign) {
  const LanguageProfile profile =
      LanguageProfile::Train(Topics(400, 120, 1), Topics(400, 120, 2), 0.01).value();
  EXPECT_GT(profile.data().spread, 0.01);
  const auto foreign = [](const LanguageProfile& by) {
    std::size_t count = 0;
    for (const std::string& text : Topics(300, 600, 3)) {
      count += by.Judge(text) == LanguageVerdict::kForeign ? 1 : 0;
    }
    return count;
  };
  LanguageProfile::Data chance_alone = profile.data();
  chance_alone.spread = 0;
  EXPECT_LT(2 * foreign(profile), foreign(LanguageProfile::Restore(chance_alone).value()));
}

TEST(Language, AllOfATextIsRead) {
  const LanguageProfile profile = Trained();
  std::string english;
  while (english.size() < 9'000) english += English(1, english.size())[0];
  EXPECT_EQ(profile.Judge(english), LanguageVerdict::kKnown);
  std::string japanese;
  for (int i = 0; i < 900; ++i) japanese += "\xE6\x97\xA5";
  EXPECT_EQ(profile.Judge(japanese), LanguageVerdict::kForeign);
  EXPECT_EQ(profile.Judge(english + japanese), LanguageVerdict::kMixed);
  EXPECT_EQ(profile.Judge(english.substr(0, 3'990) + japanese), LanguageVerdict::kMixed);
  // A little of another script is a name; much of it is more than that, but hides nothing.
  const std::string sentence = English(1, 5)[0];
  EXPECT_EQ(profile.Judge(sentence + japanese.substr(0, 12)), LanguageVerdict::kKnown);
  EXPECT_EQ(profile.Judge(sentence + japanese.substr(0, 120)), LanguageVerdict::kMixed);
  // An end that is too short to tell.
  EXPECT_EQ(profile.Judge(english.substr(0, 4'000) + "12345"), LanguageVerdict::kKnown);
}

TEST(Language, OthersAreForeign) {
  const LanguageProfile profile = Trained();
  for (const char* text :
       {"Der Schmetterling fliegt ueber die gruenen Felder und sucht sich eine Blume.",
        "Je voudrais savoir quelle heure il est et si le train part aujourd'hui.",
        "Quiero saber cuando llega el proximo autobus a la plaza mayor de Zaragoza.",
        "Xin vui lòng cho tôi biết làm thế nào để đi đến chợ gần nhất.",
        "Wszystkie dzieci poszły wczoraj do szkoły przez zaśnieżony park."}) {
    EXPECT_EQ(profile.Judge(text), LanguageVerdict::kForeign) << text << profile.Score(text);
  }
}

TEST(Language, OtherScriptsAreForeignHoweverShort) {
  for (const LanguageProfile& profile : {Trained(), LanguageProfile()}) {
    for (const char* text : {"你好", "Как дела?", "こんにちは", "مرحبا", "שלום", "नमस्ते", "안녕"}) {
      EXPECT_EQ(profile.Judge(text), LanguageVerdict::kForeign) << text;
    }
  }
}

TEST(Language, ANameInAnotherScriptDoesNotMakeATextForeign) {
  EXPECT_EQ(
      Trained().Judge("the people would often walk near the river 东 because the morning light "
                      "looked bright and the children asked about the weather"),
      LanguageVerdict::kKnown);
}

TEST(Language, CannotTellFromAFewLetters) {
  const LanguageProfile profile = Trained();
  for (const char* text : {"", "ok", "42 + 17 = 59", "?!", "😀😀😀", "Bonjour"}) {
    EXPECT_EQ(profile.Judge(text), LanguageVerdict::kTooShort) << text;
  }
}

TEST(Language, IsKeptToTheBit) {
  const LanguageProfile profile = Trained();
  const auto restored = LanguageProfile::Restore(profile.data());
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->data(), profile.data());
}

TEST(Language, RefusesTooLittleAndWhatCouldNotBe) {
  EXPECT_FALSE(LanguageProfile::Train(English(2, 1), English(400, 2), 0.01));
  EXPECT_FALSE(LanguageProfile::Train(English(400, 1), English(99, 2), 0.01));
  LanguageProfile::Data data = Trained().data();
  data.steps.pop_back();
  EXPECT_FALSE(LanguageProfile::Restore(data));
  data = Trained().data();
  data.deviation = 0;
  EXPECT_FALSE(LanguageProfile::Restore(data));
  data = Trained().data();
  data.mean = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(LanguageProfile::Restore(data));
}

TEST(Language, ACharacterCutOffAtTheEndIsHarmless) {
  const std::string text = "The people would often walk near the river \xF0\x9F\x98";
  EXPECT_EQ(Trained().Judge(text), Trained().Judge(text.substr(0, text.size() - 3)));
}

}  // namespace
}  // namespace garrison
