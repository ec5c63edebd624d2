// The bar of a long run, for people in front of a terminal. Private to cli/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>

#include "base/clock.h"

namespace garrison {

class Progress {
 public:
  struct Options {
    bool enabled = false;
    std::uint64_t bytes_total = 0;  // of the input; 0: not known
  };

  Progress(std::ostream& err, const Clock& clock, const Options& options);

  // `bytes` of the input have been read and `rows` written. Draws at most five times a second.
  void Update(std::size_t rows, std::uint64_t bytes);
  // Clears the line.
  void Finish();

 private:
  void Draw(std::size_t rows, std::uint64_t bytes, SteadyTime now);

  std::ostream& err_;
  const Clock& clock_;
  const Options options_;
  // The first update: what --resume passes over says nothing about the speed.
  bool started_ = false;
  SteadyTime start_;
  std::size_t rows_before_ = 0;
  std::uint64_t bytes_before_ = 0;
  SteadyTime next_;
  bool drawn_ = false;
};

}  // namespace garrison
