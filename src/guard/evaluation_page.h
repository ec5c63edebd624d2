// What is the same in every report.html. Private to guard/evaluation_html.cc.
#pragma once

#include <string_view>

namespace garrison {

extern const std::string_view kEvaluationStyle;   // CSS
extern const std::string_view kEvaluationScript;  // JavaScript: the PNG buttons

}  // namespace garrison
