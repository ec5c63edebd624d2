#include "base/random.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <vector>

#include "base/check.h"

namespace garrison {

std::string RandomHex(std::size_t bytes) {
  std::vector<unsigned char> random(bytes);
  CHECK(getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));
  std::string text;
  for (const unsigned char byte : random) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace garrison
