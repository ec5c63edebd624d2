// The file of the measured mode (docs/formats/guard-file.md): a MeasuredModel as JSON.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "core/embedder.h"
#include "guard/measured_model.h"

namespace garrison {

// Immutable; safe to share between threads.
class GuardFile {
 public:
  // INVALID_ARGUMENT, `where` the field of the file, for what the type does not promise.
  static Result<GuardFile> Create(MeasuredModel model);
  // Trusts nothing in it. Errors as Create.
  static Result<GuardFile> Parse(std::string_view json);

  // The file's content; Parse reads it back to the same bits.
  std::string ToJson() const;

  // FAILED_PRECONDITION unless `model` is the one that it was trained on: same id, revision and
  // dimension.
  Result<> CheckModel(const ModelInfo& model) const;

  const MeasuredModel& model() const { return model_; }
  // SHA-256 of ToJson(): names this guard in every result.
  const std::string& hash() const { return hash_; }

 private:
  explicit GuardFile(MeasuredModel model);

  MeasuredModel model_;
  std::string hash_;
};

// The file at `path`, or the built-in model's guard if `path` is empty. Errors of ReadTextFile, and
// of Parse with the path in front.
Result<GuardFile> OpenGuardFile(const std::string& path);

}  // namespace garrison
