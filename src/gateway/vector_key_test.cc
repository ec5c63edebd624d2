#include "gateway/vector_key.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace garrison {
namespace {

ModelInfo Info() {
  return {.id = "m",
          .revision = "0123456789abcdef",
          .dimension = 384,
          .max_tokens = 512,
          .compute = "cpu-f32-avx2",
          .pooling = "mean"};
}

std::string Hex(const VectorKey& key) {
  std::string hex;
  for (const std::byte byte : key) hex += fmt::format("{:02x}", std::to_integer<int>(byte));
  return hex;
}

// The key as docs/formats/cache.md says it, made by Python's hashlib:
//   def t(s): return len(s).to_bytes(8, "little") + s
//   def n(i): return i.to_bytes(8, "little")
//   head = b"garrison vector key 1\n" + t(b"local") + t(b"m") + t(b"0123456789abcdef") + t(b"c")
//          + t(b"cpu-f32-avx2") + t(b"mean") + n(512)
//   hashlib.sha256(head + n(0) + n(0) + t(b"") + n(1) + n(1) + n(1) + t("na\u00efve".encode()))
// and of ids: tag n(2), then for each list n(its length) and its numbers in four bytes.
TEST(VectorKeyTest, IsTheHashThatTheFormatSays) {
  const VectorKeyMaker maker(Info(), "c");
  EXPECT_EQ(Hex(maker.KeyOf({}, std::string("na\xc3\xafve"))),
            "3b1f639b58eec510c47d78e8f45acbc4051e58d4b1a34959ea30c6b07a810a36");
  EmbedRequest request;
  request.dimensions = 64;
  request.normalize = true;
  request.prompt = "query";
  request.long_input = {LongInput::Policy::kChunk, LongInput::Side::kLeft};
  EXPECT_EQ(Hex(maker.KeyOf(request, TokenIds{{101, -7}, {0, 1}})),
            "0f675fd0a223fea85c90b66f746ae73ade3b7c258c006d52bc7ef98e34e61074");
  EXPECT_EQ(maker.label(), "local/m/0123456789ab");
}

TEST(VectorKeyTest, EverythingThatDecidesAVectorChangesTheKey) {
  std::set<VectorKey> keys;
  std::size_t made = 0;
  const auto add = [&](const ModelInfo& info, const std::string& content,
                       const EmbedRequest& request, const EmbedInput& input) {
    keys.insert(VectorKeyMaker(info, content).KeyOf(request, input));
    ++made;
  };
  add(Info(), "c", {}, std::string("text"));
  for (const std::function<void(ModelInfo&)>& change :
       std::initializer_list<std::function<void(ModelInfo&)>>{
           [](ModelInfo& info) { info.provider = "openai"; },
           [](ModelInfo& info) { info.id = "n"; }, [](ModelInfo& info) { info.revision = "r2"; },
           [](ModelInfo& info) { info.compute = "cpu-int8-avx2"; },
           [](ModelInfo& info) { info.pooling = "cls"; },
           [](ModelInfo& info) { info.max_tokens = 256; },
           // Fields that run into each other must not look the same.
           [](ModelInfo& info) { info.provider = "localm", info.id = ""; }}) {
    ModelInfo info = Info();
    change(info);
    add(info, "c", {}, std::string("text"));
  }
  add(Info(), "d", {}, std::string("text"));
  for (const std::function<void(EmbedRequest&)>& change :
       std::initializer_list<std::function<void(EmbedRequest&)>>{
           [](EmbedRequest& request) { request.dimensions = 384; },
           [](EmbedRequest& request) { request.dimensions = 64; },
           [](EmbedRequest& request) { request.normalize = true; },
           [](EmbedRequest& request) { request.normalize = false; },
           [](EmbedRequest& request) { request.prompt = "query"; },
           [](EmbedRequest& request) { request.long_input.policy = LongInput::Policy::kTruncate; },
           [](EmbedRequest& request) { request.long_input.policy = LongInput::Policy::kChunk; },
           [](EmbedRequest& request) { request.long_input.side = LongInput::Side::kLeft; }}) {
    EmbedRequest request;
    change(request);
    add(Info(), "c", request, std::string("text"));
  }
  for (const EmbedInput& input : std::initializer_list<EmbedInput>{
           std::string("Text"), std::string("text "), std::string(""), TokenIds{{1, 2}, {}},
           TokenIds{{1}, {2}}, TokenIds{{1, 2}, {0, 0}}, TokenIds{{}, {}}}) {
    add(Info(), "c", {}, input);
  }
  EXPECT_EQ(keys.size(), made);
}

}  // namespace
}  // namespace garrison
