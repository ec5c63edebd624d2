#include "base/hash.h"
#include "guard/text_scan.h"
#include "guard/train.h"

namespace garrison {

Result<TrainingTexts> ParseTrainingTexts(std::string_view file) {
  file = WithoutBom(file);
  RETURN_IF_ERROR(CheckPlainText(file));
  TrainingTexts set;
  Sha256 sha;
  std::size_t line = 0;
  for (const std::string_view raw : SplitLines(file)) {
    ++line;
    const std::string_view text = Trim(raw);
    if (text.empty()) continue;
    if (set.texts.size() == kTrainingTextsMax) {
      return FailAt(LineName(line), Code::kInvalidArgument, "expected at most {} texts, got more",
                    kTrainingTextsMax);
    }
    sha.Update(text);
    sha.Update("\n");
    set.texts.emplace_back(text);
  }
  set.sha256 = sha.FinishHex();
  return set;
}

}  // namespace garrison
