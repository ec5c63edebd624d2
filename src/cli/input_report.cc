#include "cli/input_report.h"

#include <fmt/format.h>

#include <utility>

#include "core/json.h"

namespace garrison {

void AddErrorsFlag(CLI::App& verb, std::string& file) {
  verb.add_option("--errors", file,
                  "Write bad inputs to this file as JSON lines and go on with the others "
                  "(default: stop at the first)");
}

Result<InputReport> InputReport::Open(const std::string& errors_file,
                                      const std::optional<Counts>& before) {
  InputReport report;
  report.counts_ = before.value_or(Counts{});
  if (errors_file.empty()) return report;
  report.errors_name_ = errors_file;
  if (report.counts_.error_bytes > 0) {
    ASSIGN_OR_RETURN(report.errors_, OutputFile::Continue(errors_file, report.counts_.error_bytes));
  } else {
    ASSIGN_OR_RETURN(report.errors_, OutputFile::Create(errors_file));
  }
  return report;
}

Result<> InputReport::AddBad(std::span<const BadInput> bad) {
  std::string lines;
  for (const BadInput& input : bad) {
    const nlohmann::ordered_json error = {{"code", CodeName(input.error.code)},
                                          {"message", input.error.message},
                                          {"where", input.error.where}};
    lines +=
        DumpJson({{"line", input.line == 0 ? input.index + 1 : input.line}, {"error", error}}) +
        "\n";
  }
  counts_.bad += bad.size();
  if (!errors_) return {};
  RETURN_IF_ERROR(errors_->Append(lines));
  counts_.error_bytes = errors_->size();
  return {};
}

void InputReport::CountTruncated(std::size_t tokens, std::size_t total) {
  if (total > tokens) ++counts_.truncated;
}

std::string InputReport::Tokens(std::size_t tokens, std::size_t total) {
  CountTruncated(tokens, total);
  if (total <= tokens) return fmt::format("\"tokens\":{}", tokens);
  return fmt::format("\"tokens\":{},\"total_tokens\":{},\"truncated\":true", tokens, total);
}

Result<> InputReport::Sync() { return errors_ ? errors_->Sync() : Result<>(); }

void InputReport::Print(std::ostream& err) const {
  if (counts_.truncated > 0) {
    err << fmt::format(
        "warning: {} inputs were truncated to what the model reads at once; --long-input "
        "says what else can be done\n",
        counts_.truncated);
  }
  if (counts_.bad > 0) {
    err << fmt::format("warning: {} bad inputs were left out; {} says which and why\n", counts_.bad,
                       errors_name_);
  }
}

}  // namespace garrison
