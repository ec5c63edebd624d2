#include "net/http.h"

#include <algorithm>

namespace garrison {
namespace {

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string_view FindHeader(const std::vector<HttpHeader>& headers, std::string_view name) {
  for (const HttpHeader& header : headers) {
    if (std::equal(header.name.begin(), header.name.end(), name.begin(), name.end(),
                   [](char a, char b) { return LowerAscii(a) == LowerAscii(b); })) {
      return header.value;
    }
  }
  return {};
}

std::string_view HttpRequest::header(std::string_view name) const {
  return FindHeader(headers, name);
}

}  // namespace garrison
