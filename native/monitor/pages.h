// Anonymous memory straight from the kernel. The monitor has no heap: what grows lives in
// mappings that cost nothing until they are touched.
#ifndef CORACLE_NATIVE_MONITOR_PAGES_H_
#define CORACLE_NATIVE_MONITOR_PAGES_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

namespace coracle {

// A mapping of fixed capacity, made by the first `data()`.
class Pages {
 public:
  Pages() = default;
  explicit Pages(size_t capacity) : capacity_(capacity) {}
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { release(); }

  // Null where the kernel has no memory (ENOMEM of mmap(2)).
  uint8_t* data() {
    if (data_ == nullptr && capacity_ != 0) {
      void* mapped = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      data_ = mapped == MAP_FAILED ? nullptr : static_cast<uint8_t*>(mapped);
    }
    return data_;
  }
  size_t capacity() const { return capacity_; }
  bool mapped() const { return data_ != nullptr; }

  // Gives the memory back; the next `data()` makes new, zeroed pages of `capacity` bytes.
  void release() {
    if (data_ != nullptr) munmap(data_, capacity_);
    data_ = nullptr;
  }
  void resize(size_t capacity) {
    release();
    capacity_ = capacity;
  }

 private:
  uint8_t* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_PAGES_H_
