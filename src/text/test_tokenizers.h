// The small tokenizers of tests/fixtures/tokenizers, for tests.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>

namespace garrison {

inline const nlohmann::json& FixtureJson() {
  static const nlohmann::json json = nlohmann::json::parse(
      std::ifstream(GARRISON_SOURCE_DIR "/tests/fixtures/tokenizers/fixtures.json"));
  return json;
}

}  // namespace garrison
