// Console: the terminal of a container.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/launch/report.h"
#include "native/launch/resolve.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441  // Linux 4.13
#endif

namespace coracle {
namespace {

constexpr long kDevptsFs = 0x1cd1;  // DEVPTS_SUPER_MAGIC of <linux/magic.h>

// The multiplexer of a devpts, and nothing that only has its name: the master goes to the monitor.
Fd open_multiplexer(const Child& child) {
  Fd master(open_in_root(child.root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY));
  struct stat entry;
  struct statfs fs;
  if (!master || fstat(master.get(), &entry) != 0 || fstatfs(master.get(), &fs) != 0) return Fd();
  if (S_ISCHR(entry.st_mode) && entry.st_rdev == makedev(5, 2) &&
      static_cast<long>(fs.f_type) == kDevptsFs) {
    return master;
  }
  errno = ENODEV;
  return Fd();
}

// A link there would have the terminal lie over any other file (CVE-2025-52565): what is mounted
// over is opened without following it.
Fd console_target(Child& child, const char* path) {
  if (!Fd(make_target(child.root, path, TargetKind::kFile, child.parent))) return Fd();
  Fd target(open_in_root(child.root, path, O_PATH | O_NOFOLLOW));
  struct stat entry;
  if (!target || fstat(target.get(), &entry) != 0) return Fd();
  if (!S_ISLNK(entry.st_mode)) return target;
  errno = ELOOP;
  return Fd();
}

Error bind_console(Child& child, int peer) {
  constexpr char kPath[] = "/dev/console";
  Fd target = console_target(child, kPath);
  if (!target) return failed("mount", "/dev/console");
  // Cloned from the descriptor that TIOCGPTPEER returned: no path inside the container says what
  // becomes its console.
  Fd tree(sys::open_tree(peer, "", sys::kOpenTreeClone | sys::kAtEmptyPath));
  if (!tree || sys::move_mount(tree.get(), "", target.get(), "",
                               sys::kMoveMountFromEmptyPath | sys::kMoveMountToEmptyPath) != 0) {
    return failed("mount", "/dev/console");
  }
  return {};
}

}  // namespace

Error reopen_terminal(const Child& child) {
  char path[32];
  struct stat held, found;
  if (fstat(0, &held) != 0) return failed("open terminal", "/dev/pts");
  snprintf(path, sizeof(path), "/dev/pts/%u", minor(held.st_rdev));
  Fd peer(open_in_root(child.root, path, O_RDWR | O_NOCTTY | O_NONBLOCK));
  if (!peer || fstat(peer.get(), &found) != 0 || found.st_dev != held.st_dev ||
      found.st_ino != held.st_ino) {
    return {};
  }
  fcntl(peer.get(), F_SETFL, O_RDWR);
  for (int fd = 0; fd < 3; ++fd) {
    if (dup2(peer.get(), fd) < 0) return failed("install terminal");
  }
  return {};
}

Error run(const Console& step, Child& child) {
  Fd master = open_multiplexer(child);
  if (!master) return failed("open terminal", "/dev/pts/ptmx");
  int unlock = 0;
  winsize size = {step.rows, step.cols, 0, 0};
  if (ioctl(master.get(), TIOCSPTLCK, &unlock) != 0 ||
      ioctl(master.get(), TIOCSWINSZ, &size) != 0) {
    return failed("prepare terminal");
  }
  Fd peer(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!peer) return failed("open terminal", "/dev/pts");
  if (step.bind_console != 0) {
    if (Error error = bind_console(child, peer.get()); !error.ok()) return error;
  }
  if (ioctl(peer.get(), TIOCSCTTY, 0) != 0) return failed("set controlling terminal");
  for (int fd = 0; fd < 3; ++fd) {
    if (dup2(peer.get(), fd) < 0) return failed("install terminal");
  }
  return report_terminal(child, master.get());
}

}  // namespace coracle
