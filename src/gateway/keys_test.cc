#include "gateway/keys.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace garrison {
namespace {

const std::string kHash = Sha256Hex("gk_secret");

TEST(KeyRing, FindsAKeyByItsSecret) {
  const KeyRing ring =
      KeyRing::Parse("# keys\n\n  site embed,chat " + kHash +
                         " requests_per_minute=60 tokens_per_minute=1000\r\nboss admin " +
                         Sha256Hex("other"),
                     "f")
          .value();
  const ApiKey* const site = ring.Find("gk_secret");
  ASSERT_NE(site, nullptr);
  EXPECT_EQ(site->name, "site");
  EXPECT_EQ(site->requests_per_minute, 60);
  EXPECT_EQ(site->tokens_per_minute, 1000);
  EXPECT_TRUE(site->MayUse(Scope::kOpen) && site->MayUse(Scope::kEmbed) &&
              site->MayUse(Scope::kChat));
  EXPECT_FALSE(site->MayUse(Scope::kAdmin));
  for (const Scope scope : {Scope::kOpen, Scope::kEmbed, Scope::kChat, Scope::kAdmin}) {
    EXPECT_TRUE(ring.Find("other")->MayUse(scope));
  }
  EXPECT_EQ(ring.Find("gk_secre"), nullptr);
  EXPECT_EQ(ring.Find(kHash), nullptr) << "the hash is no key";
  EXPECT_EQ(ring.Find(""), nullptr);
}

TEST(KeyRing, LinesReadBackAsTheyWereWritten) {
  ApiKey key{.name = "a.b-c_1",
             .sha256 = kHash,
             .scopes = {Scope::kEmbed, Scope::kAdmin},
             .requests_per_minute = 5,
             .tokens_per_minute = 7};
  const KeyRing ring = KeyRing::Parse(FormatKey(key), "f").value();
  EXPECT_EQ(FormatKey(ring.keys().at(0)), FormatKey(key));
  EXPECT_EQ(FormatKey(key),
            "a.b-c_1 embed,admin " + kHash + " requests_per_minute=5 tokens_per_minute=7");
}

TEST(KeyRing, NamesTheLineAtFaultAndNeverTheSecret) {
  const std::string good = "site embed " + kHash + "\n";
  for (const std::string& bad :
       {std::string("two"), std::string("two embed"), std::string("two embed secret-in-clear"),
        "two fly " + kHash, "two embed, " + kHash, "t/wo embed " + kHash,
        "two embed " + kHash + " requests_per_minute=0",
        "two embed " + kHash + " requests_per_minute=x",
        "two embed " + kHash + " tokens_per_minute", "two embed " + kHash + " secret=1",
        "site embed " + kHash, std::string(65, 'a') + " embed " + kHash}) {
    const Result<KeyRing> ring = KeyRing::Parse(good + bad + "\n", "keys.txt");
    ASSERT_FALSE(ring) << bad;
    EXPECT_EQ(ring.error().where, "keys.txt:2") << bad;
    EXPECT_EQ(ring.error().code, Code::kInvalidArgument);
    EXPECT_EQ(ring.error().message.find("secret"), std::string::npos) << ring.error().message;
  }
}

TEST(MakeSecret, IsNeverTheSame) {
  const std::string one = MakeSecret();
  EXPECT_EQ(one.size(), 3U + 64U);
  EXPECT_TRUE(one.starts_with("gk_"));
  EXPECT_NE(one, MakeSecret());
}

}  // namespace
}  // namespace garrison
