// The files of src/server/assets, linked into the program.
#pragma once

#include <string_view>

namespace garrison {

struct Asset {
  std::string_view name;  // "index.html"
  std::string_view content_type;
  std::string_view content;
};

// Null when there is none of that name.
const Asset* FindAsset(std::string_view name);

}  // namespace garrison
