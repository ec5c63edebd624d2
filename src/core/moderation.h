// What moderation says of one text.
#pragma once

#include <string>
#include <vector>

namespace garrison {

struct Moderation {
  struct Category {
    std::string name;
    double score = 0;
    bool flagged = false;
  };
  bool flagged = false;  // any category is
  std::vector<Category> categories;
};

}  // namespace garrison
