// The failure of one step: what was being done, on what, and why the kernel refused.
#ifndef CORACLE_NATIVE_SYS_ERROR_H_
#define CORACLE_NATIVE_SYS_ERROR_H_

#include <errno.h>

namespace coracle {

// Trivially copyable, so that it can be made in a child that must not allocate. `step` is static
// text; `path` is static text or points into the message or buffer the caller keeps.
// Reads to a user as "<step> <path>: <strerror(code)>".
struct [[nodiscard]] Error {
  int code = 0;  // errno(3); 0: no failure
  const char* step = "";
  const char* path = "";

  bool ok() const { return code == 0; }
};

// The failure of the system call that has just set errno; EIO where it has set none, as a short
// write does, which must not be taken for a success.
inline Error failed(const char* step, const char* path = "") {
  return Error{errno != 0 ? errno : EIO, step, path};
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_SYS_ERROR_H_
