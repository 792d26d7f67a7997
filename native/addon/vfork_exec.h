// Starts a program without forking Node: clone3(2) with CLONE_VM | CLONE_VFORK.
#ifndef CORACLE_NATIVE_ADDON_VFORK_EXEC_H_
#define CORACLE_NATIVE_ADDON_VFORK_EXEC_H_

#include <sys/types.h>

#include "native/addon/failure.h"
#include "native/sys/fd.h"

namespace coracle {

// What the child becomes. Everything is resolved beforehand: it makes raw system calls only.
struct ExecRequest {
  static constexpr int kMaxFds = 4;

  const char* file = nullptr;  // path for execve(2)
  int file_fd = -1;            // or an executable's descriptor, for execveat(2)
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const char* cwd = nullptr;            // nullptr: the caller's
  int fds[kMaxFds] = {-1, -1, -1, -1};  // become 0, 1, 2 and 3; -1: /dev/null, or closed for 3
  bool listen = false;  // listen(2) on descriptor 3, so that its peers see the child's pid
};

struct Child {
  pid_t pid = 0;
  Fd pidfd;
};

// Suspends the calling thread until the child has exec'd or failed. The child leads a session of
// its own, has default signal handling, and every descriptor but those given is closed on exec.
// It sends no SIGCHLD (exit signal 0): reap it with reap_child. Linux 5.5 (CLONE_CLEAR_SIGHAND).
Failure vfork_exec(const ExecRequest& request, Child* child);

// Collects an exited child, whose pidfd polls readable. Returns its wait status in the form of
// wait(2), or -1 where it has not exited.
int reap_child(int pidfd);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_VFORK_EXEC_H_
