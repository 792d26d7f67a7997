// An owned file descriptor.
#ifndef CORACLE_NATIVE_SYS_FD_H_
#define CORACLE_NATIVE_SYS_FD_H_

#include <errno.h>
#include <unistd.h>

namespace coracle {

// Move-only; closes what it holds. Closing keeps errno, so that an Error can be made from errno
// after the descriptors of the failed step have gone out of scope.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor up: the caller closes it.
  [[nodiscard]] int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) {
    if (fd_ >= 0) {
      int saved = errno;
      ::close(fd_);
      errno = saved;
    }
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_SYS_FD_H_
