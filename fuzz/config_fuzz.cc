// Configuration files: every value that is taken is one that prints and reads back.
#include <cstdint>

#include "app/load_settings.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  garrison::LoadedSettings loaded;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!garrison::ApplyToml(text, "fuzz.toml", loaded)) return 0;
  garrison::VisitSettings(loaded.settings, [](garrison::SettingField& field) {
    garrison::Settings copy;
    CHECK(garrison::AssignSetting(copy, field.name, garrison::FormatSetting(field)).has_value());
  });
  return 0;
}
