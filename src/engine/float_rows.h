// Rows of floats in the layout that the kernels want. Private to engine/.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>

#include "kernels/kernels.h"

namespace garrison {

// A growing, 64-byte-aligned buffer. Content is kept zero where kernels rely on padding: a buffer
// that grows starts as zeros, and kernels write zeros to the padding of rows.
template <typename T>
class AlignedBuffer {
 public:
  // At least `count` elements; the content is lost when it has to grow.
  T* Reserve(std::size_t count) {
    if (count > size_) {
      data_.reset(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64})));
      std::fill_n(data_.get(), count, T{});
      size_ = count;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }
  std::size_t bytes() const { return size_ * sizeof(T); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete(data, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace garrison
