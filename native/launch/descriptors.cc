#include "native/launch/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <initializer_list>

#include "native/plan/protocol.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr long kPipeFs = 0x50495045;  // PIPEFS_MAGIC of <linux/magic.h>

// A small sorted set of descriptors.
struct Kept {
  int fds[kMaxFds + 16];
  size_t count = 0;

  void add(int fd) {
    if (fd < 0 || count == sizeof(fds) / sizeof(fds[0])) return;
    size_t at = count++;
    for (; at > 0 && fds[at - 1] > fd; --at) fds[at] = fds[at - 1];
    fds[at] = fd;
  }

  bool close_all_others() const {
    unsigned next = 0;
    for (size_t i = 0; i < count; ++i) {
      unsigned fd = static_cast<unsigned>(fds[i]);
      if (fd > next && sys::close_range(next, fd - 1) != 0) return false;
      if (fd >= next) next = fd + 1;
    }
    return sys::close_range(next, ~0u) == 0;
  }
};

}  // namespace

Error drop_foreign_descriptors(const Child& child) {
  Kept kept;
  for (size_t i = 0; i < child.fd_count; ++i) kept.add(child.fds[i]);
  for (int fd : child.stdio) kept.add(fd);
  for (int fd : {child.report_fd, child.wake_fd, child.shm_tree, child.parent_pidfd,
                 child.context->proc_fd, child.context->devnull_fd, child.context->userns_fd}) {
    kept.add(fd);
  }
  if (!kept.close_all_others() || sys::close_range(0, ~0u, true) != 0) {
    return failed("close descriptors");
  }
  return {};
}

Error install_stdio(const Child& child) {
  // Away from 0–2 first: one of the sources may be a descriptor that another one replaces.
  int sources[3];
  for (int i = 0; i < 3; ++i) {
    int fd = child.stdio[i] >= 0 ? child.stdio[i] : child.context->devnull_fd;
    sources[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (sources[i] < 0) return failed("install standard stream");
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(sources[i], i) < 0) return failed("install standard stream");
    close(sources[i]);
  }
  return {};
}

void drop_used_descriptors(const Child& child) {
  // Nothing leaks into the program where it is refused, because every descriptor from 3 on is
  // close-on-exec.
  Kept kept;
  for (int fd : {0, 1, 2, child.report_fd, child.wake_fd}) kept.add(fd);
  (void)kept.close_all_others();
}

void own_stdio(const Child& child, uint32_t uid, uint32_t gid) {
  bool terminal = (child.plan->flags & kTerminal) != 0;
  for (int fd = 0; fd < 3; ++fd) {
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) continue;
    // Only pipes without a name: a FIFO of the host's file system keeps its owner.
    if (static_cast<long>(fs.f_type) != kPipeFs && !terminal) continue;
    // A refusal is no failure: the program still writes to the descriptor it has.
    (void)!fchown(fd, uid, gid);
  }
}

}  // namespace coracle
