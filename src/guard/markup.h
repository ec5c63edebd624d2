// Text into HTML and SVG. Everything that an evaluation shows comes from outside.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace garrison {

// Safe as the text of an element and inside quoted attributes, in HTML and in XML: & < > " ' are
// escaped; bytes that are not UTF-8, NUL and other control characters (not tab and line feed), and
// the marks that turn the direction of text around become U+FFFD, so that nothing is hidden.
std::string EscapeMarkup(std::string_view text);

// The same of the first `bytes_max` bytes or less, cut at a character, with "…" if any were cut.
std::string EscapeMarkup(std::string_view text, std::size_t bytes_max);

}  // namespace garrison
