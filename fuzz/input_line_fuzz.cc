// Lines of `garrison embed --input`, as JSON and through the line reader.
#include <cstdint>
#include <sstream>

#include "base/check.h"
#include "cli/text_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  garrison::LimitSettings limits;
  limits.input_bytes = 64;
  for (const bool json : {true, false}) {
    std::istringstream in(bytes);
    const garrison::InputReader::Options options{.json_lines = json,
                                                 .form = garrison::LineForm::kInputOrQueries};
    garrison::InputReader reader(in, options, limits);
    std::size_t line = 0;
    while (true) {
      const auto record = reader.Next();
      if (!record || !*record) break;
      CHECK((*record)->line > line);
      line = (*record)->line;
    }
  }
  return 0;
}
