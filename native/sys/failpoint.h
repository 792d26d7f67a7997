// Places where a test can make a native process fail; src/failpoint.ts has the grammar.
//
// Compiled in and off: an unarmed place costs one load and one branch that is never taken.
#ifndef CORACLE_NATIVE_SYS_FAILPOINT_H_
#define CORACLE_NATIVE_SYS_FAILPOINT_H_

namespace coracle::sys {

namespace detail {
extern bool failpoints_armed;
int hit_failpoint(const char* name);
}  // namespace detail

// One hit of the place called `name`: 0, or the errno to fail with, which is also left in errno.
// Sleeps for a delay, in place; does not return from a kill, which is an exit with status 137 where
// the process is the first of a PID namespace. Allocates nothing and takes no lock: may be called
// between clone and execve, and from any thread.
inline int failpoint(const char* name) {
  if (__builtin_expect(!detail::failpoints_armed, 1)) return 0;
  return detail::hit_failpoint(name);
}

// Takes the place of what was armed; null or "" disarms. At most 16 points; `spec` is read while
// this runs and not kept. To be called before other threads can reach a failpoint. Returns false,
// with nothing armed, where the spec is none.
bool arm_failpoints(const char* spec);

}  // namespace coracle::sys

#endif  // CORACLE_NATIVE_SYS_FAILPOINT_H_
