// Server-sent events as the WHATWG's HTML standard defines the text/event-stream format. Pure: no
// input or output.
#pragma once

#include <string>
#include <string_view>

namespace garrison {

// One event with the blank line that ends it. Line breaks of `data` may be \n, \r\n or \r; the
// client sees each as \n, and the rest byte for byte if it is UTF-8. No event or no id: none is
// sent, so the client takes "message" and the id before.
// REQUIRES: `event` and `id` come from Garrison, not from outside: no line breaks, no NUL.
std::string EncodeSseEvent(std::string_view data, std::string_view event = {},
                           std::string_view id = {});

// Bytes that clients ignore, for a connection that must not look idle. `text` may have line breaks.
std::string EncodeSseComment(std::string_view text = {});

}  // namespace garrison
