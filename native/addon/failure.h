// How the addon's plain C++ reports an error; the bindings turn one into a NativeError.
#ifndef CORACLE_NATIVE_ADDON_FAILURE_H_
#define CORACLE_NATIVE_ADDON_FAILURE_H_

#include <errno.h>

#include <string>
#include <utility>

namespace coracle {

struct Failure {
  int code = 0;      // errno(3); 0 where no system call failed
  std::string step;  // what was being done, in words; empty: nothing failed
  std::string path;  // on what; may be empty

  bool failed() const { return !step.empty(); }
};

// The failure of the system call that has just returned: takes its errno.
inline Failure system_failure(std::string step, std::string path = {}) {
  const int code = errno;
  return Failure{code, std::move(step), std::move(path)};
}

// "exec /no/such: no such file or directory", as a user reads it.
std::string describe(const Failure& failure);

// strerror(3) text as it reads inside a sentence: "no such file or directory".
std::string error_text(int code);

// "ENOENT"; empty for 0 and for numbers the C library does not know.
std::string error_name(int code);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_FAILURE_H_
