#include "native/addon/kill_process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>

#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kStartTimeField = 22;

// Returns false, with errno, where it cannot be read.
bool read_start_ticks(pid_t pid, uint64_t* ticks) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t size = file ? read(file.get(), text, sizeof(text) - 1) : -1;
  if (size <= 0) return false;
  text[size] = '\0';
  // The second field is the command in parentheses, which may hold spaces and parentheses.
  const char* next = strrchr(text, ')');
  for (int field = 2; next != nullptr && field < kStartTimeField; field++) {
    next = strchr(next + 1, ' ');
  }
  if (next == nullptr) {
    errno = EPROTO;
    return false;
  }
  *ticks = strtoull(next + 1, nullptr, 10);
  return true;
}

}  // namespace

Failure kill_process(pid_t pid, uint64_t start_ticks, int signal) {
  const std::string name = std::to_string(pid);
  // The descriptor first: what is read afterwards is about the process it holds, if that lives.
  Fd pidfd(sys::pidfd_open(pid, 0));
  if (!pidfd) return system_failure("find process", name);
  uint64_t ticks = 0;
  if (!read_start_ticks(pid, &ticks)) {
    return Failure{errno == ENOENT ? ESRCH : errno, "find process", name};
  }
  if (ticks != start_ticks) return Failure{ESRCH, "find process", name};
  if (sys::pidfd_send_signal(pidfd.get(), signal) != 0) return system_failure("kill", name);
  return {};
}

}  // namespace coracle
