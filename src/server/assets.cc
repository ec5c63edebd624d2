#include "server/assets.h"

#include <algorithm>
#include <array>

// Set by assets.S.
#define GARRISON_ASSET(symbol)                     \
  extern "C" const char garrison_asset_##symbol[]; \
  extern "C" const char garrison_asset_##symbol##_end[];
GARRISON_ASSET(index_html)
GARRISON_ASSET(page_js)
GARRISON_ASSET(docs_html)
GARRISON_ASSET(docs_js)
GARRISON_ASSET(style_css)
GARRISON_ASSET(icon_svg)
GARRISON_ASSET(schemas_json)
#undef GARRISON_ASSET

namespace garrison {
namespace {

std::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

const Asset* FindAsset(std::string_view name) {
  static const std::array assets = {
#define GARRISON_ASSET(name, symbol, type) \
  Asset{name, type, Between(garrison_asset_##symbol, garrison_asset_##symbol##_end)},
      GARRISON_ASSET("index.html", index_html, "text/html; charset=utf-8")  //
      GARRISON_ASSET("page.js", page_js, "text/javascript; charset=utf-8")  //
      GARRISON_ASSET("docs.html", docs_html, "text/html; charset=utf-8")    //
      GARRISON_ASSET("docs.js", docs_js, "text/javascript; charset=utf-8")  //
      GARRISON_ASSET("style.css", style_css, "text/css; charset=utf-8")     //
      GARRISON_ASSET("icon.svg", icon_svg, "image/svg+xml")                 //
      GARRISON_ASSET("schemas.json", schemas_json, "application/json")      //
#undef GARRISON_ASSET
  };
  const auto found = std::find_if(assets.begin(), assets.end(),
                                  [&](const Asset& asset) { return asset.name == name; });
  return found == assets.end() ? nullptr : &*found;
}

}  // namespace garrison
