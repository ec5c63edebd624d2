#include "cli/bulk_state.h"

#include <utility>

#include "core/json.h"

namespace garrison {
namespace {

constexpr int kVersion = 1;

tl::unexpected<Error> Unreadable() {
  return Fail(Code::kDataLoss,
              "expected the state of a run, version {}; the file is damaged or of another version, "
              "so start over without --resume",
              kVersion);
}

}  // namespace

std::string StateFileOf(const std::string& output) { return output + ".state"; }

std::string FormatState(const BulkState& state) {
  return DumpJson({{"version", kVersion},
                   {"run", state.run},
                   {"lines", state.lines},
                   {"inputs", state.inputs},
                   {"rows", state.rows},
                   {"bytes", state.bytes},
                   {"bad", state.counts.bad},
                   {"error_bytes", state.counts.error_bytes},
                   {"truncated", state.counts.truncated}}) +
         "\n";
}

Result<BulkState> ParseState(std::string_view text) {
  constexpr std::size_t kDepth = 3;
  const Result<nlohmann::json> json = ParseJson(text, kDepth);
  if (!json || !json->is_object() || json->value("version", nlohmann::json()) != kVersion) {
    return Unreadable();
  }
  bool good = true;
  const auto number = [&](const char* name) -> std::uint64_t {
    const auto found = json->find(name);
    if (found != json->end() && found->is_number_unsigned()) return found->get<std::uint64_t>();
    good = false;
    return 0;
  };
  BulkState state;
  state.run = json->value("run", nlohmann::json());
  state.lines = number("lines");
  state.inputs = number("inputs");
  state.rows = number("rows");
  state.bytes = number("bytes");
  state.counts.bad = number("bad");
  state.counts.error_bytes = number("error_bytes");
  state.counts.truncated = number("truncated");
  if (!good || !state.run.is_object()) return Unreadable();
  return state;
}

Result<> CheckSameRun(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now) {
  for (const auto& [name, value] : now.items()) {
    const nlohmann::ordered_json was = before.value(name, nlohmann::ordered_json());
    if (was == value) continue;
    return FailAt("--resume", Code::kFailedPrecondition,
                  "the output was begun with {} {}, this run has {}; repeat it as it was, or start "
                  "over without --resume",
                  name, DumpJson(was), DumpJson(value));
  }
  return {};
}

}  // namespace garrison
