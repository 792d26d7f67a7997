// Cwd, Execve: the last things before the program.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/launch/report.h"
#include "native/launch/resolve.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Blocks until the monitor says go. Ends the process where it will never say so.
Error park(const Child& child) {
  if (child.wake_fd < 0) return {};
  char go;
  ssize_t got;
  do {
    got = read(child.wake_fd, &go, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 0) _exit(0);
  return got == 1 ? Error{} : failed("wait for start");
}

// execvp(3) with the container's PATH, but without its shell fallback for scripts that lack an
// interpreter line, and without relative directories.
int execute_by_path(const Program& program) {
  const char* name = program.argv[0];
  size_t name_size = strlen(name);
  const char* next = program.search_path != nullptr ? program.search_path : kDefaultPath;
  int refused = ENOENT;
  char candidate[kMaxPath];
  while (*next != 0) {
    const char* end = strchrnul(next, ':');
    size_t size = static_cast<size_t>(end - next);
    if (*next == '/' && size + 1 + name_size < sizeof(candidate)) {
      memcpy(candidate, next, size);
      candidate[size] = '/';
      memcpy(candidate + size + 1, name, name_size + 1);
      execve(candidate, program.argv, program.envp);
      if (errno == EACCES) refused = EACCES;
      bool elsewhere = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
                       errno == ENAMETOOLONG;
      if (!elsewhere) return errno;
    }
    next = *end == ':' ? end + 1 : end;
  }
  return refused;
}

}  // namespace

Error run(const Cwd& step, Child& child) {
  const char* path = step.path.data;
  if (step.create != 0 && !make_directories(child.root, path, 0755, nullptr)) {
    return failed("mkdir", path);
  }
  Fd directory(open_in_root(child.root, path, O_PATH | O_DIRECTORY));
  if (!directory || fchdir(directory.get()) != 0) return failed("chdir", path);
  // A directory that is not below the root shows as "(unreachable)/…": a descriptor of the host
  // that an image names through procfs would be a way out (CVE-2024-21626).
  char where[kMaxPath];
  if (sys::getcwd(where, sizeof(where)) < 0) return failed("chdir", path);
  if (where[0] != '/') return Error{ENOENT, "chdir", path};
  return {};
}

Error run(const Execve&, Child& child) {
  const Program& program = *child.program;
  settle(child);
  child.clock.end(child.report);
  if (Error error = report_ready(child); !error.ok()) return error;
  if (Error error = park(child); !error.ok()) return error;
  if (strchr(program.argv[0], '/') == nullptr) {
    return Error{execute_by_path(program), "exec", program.argv[0]};
  }
  execve(program.argv[0], program.argv, program.envp);
  return failed("exec", program.argv[0]);
}

}  // namespace coracle
