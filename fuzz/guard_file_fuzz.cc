// Guard files. Sixteen thousand weights are too long for a corpus: "@words" and "@steps" stand for
// vectors of that length, all zero. What is read is written again to the same bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/base64.h"
#include "base/check.h"
#include "guard/guard_file.h"

namespace {

std::string Zeros(std::size_t bytes) {
  return garrison::EncodeBase64(std::vector<std::byte>(bytes));
}

void Replace(std::string& text, std::string_view name, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += with.size()) {
    text.replace(at, name.size(), with);
    if (text.size() > std::size_t{4} << 20) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace garrison;
  static const std::string kWords = Zeros(kWordBuckets * sizeof(float));
  static const std::string kSteps = Zeros(kLanguageSigns * kLanguageSigns * kLanguageSigns);
  std::string text(reinterpret_cast<const char*>(data), size);
  Replace(text, "@words", kWords);
  Replace(text, "@steps", kSteps);
  const Result<GuardFile> file = GuardFile::Parse(text);
  if (!file) {
    CHECK(file.error().code == Code::kInvalidArgument);
    return 0;
  }
  const Result<GuardFile> again = GuardFile::Parse(file->ToJson());
  CHECK(again.has_value() && again->hash() == file->hash());
  return 0;
}
