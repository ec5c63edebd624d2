#include "gateway/vector_key.h"

#include <bit>
#include <cstdint>
#include <span>
#include <variant>

namespace garrison {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are hashed as they are");

constexpr std::string_view kVersion = "garrison vector key 1\n";
constexpr std::size_t kRevisionShown = 12;
constexpr std::uint64_t kText = 1, kIds = 2;

void Add(std::string& out, std::uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

// With its length before it, so that no two lists of fields give the same bytes.
void Add(std::string& out, std::string_view text) {
  Add(out, std::uint64_t{text.size()});
  out += text;
}

void Add(std::string& out, const std::vector<std::int32_t>& ids) {
  Add(out, std::uint64_t{ids.size()});
  for (const std::int32_t id : ids) out.append(reinterpret_cast<const char*>(&id), sizeof(id));
}

std::uint64_t PolicyNumber(LongInput::Policy policy) {
  switch (policy) {
    case LongInput::Policy::kError:
      return 1;
    case LongInput::Policy::kTruncate:
      return 2;
    case LongInput::Policy::kChunk:
      return 3;
  }
  return 0;
}

}  // namespace

VectorKeyMaker::VectorKeyMaker(const ModelInfo& info, std::string_view content)
    : prefix_(kVersion),
      label_(info.provider + "/" + info.id + "/" + info.revision.substr(0, kRevisionShown)) {
  Add(prefix_, info.provider);
  Add(prefix_, info.id);
  Add(prefix_, info.revision);
  Add(prefix_, content);
  Add(prefix_, info.compute);
  Add(prefix_, info.pooling);
  Add(prefix_, std::uint64_t{info.max_tokens});
}

VectorKey VectorKeyMaker::KeyOf(const EmbedRequest& request, const EmbedInput& input) const {
  std::string options;
  Add(options, std::uint64_t{request.dimensions.value_or(0)});
  Add(options, std::uint64_t{!request.normalize ? 0U : (*request.normalize ? 2U : 1U)});
  Add(options, request.prompt);
  Add(options, PolicyNumber(request.long_input.policy));
  Add(options, std::uint64_t{request.long_input.side == LongInput::Side::kLeft ? 2U : 1U});
  Sha256 hash;
  if (const auto* text = std::get_if<std::string>(&input)) {
    Add(options, kText);
    Add(options, std::uint64_t{text->size()});
    hash.Update(prefix_);
    hash.Update(options);
    hash.Update(*text);
    return hash.Finish();
  }
  const auto& ids = std::get<TokenIds>(input);
  Add(options, kIds);
  Add(options, ids.ids);
  Add(options, ids.type_ids);
  hash.Update(prefix_);
  hash.Update(options);
  return hash.Finish();
}

}  // namespace garrison
