#include "native/sys/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/sys/failpoint.h"

// Numbers from 424 on are the same on every architecture but Alpha and MIPS, where they have an
// offset; headers older than the call lack them.
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_fsopen
#define SYS_fsopen 430
#endif
#ifndef SYS_fsconfig
#define SYS_fsconfig 431
#endif
#ifndef SYS_fsmount
#define SYS_fsmount 432
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

namespace coracle::sys {
namespace {

int result(long value) { return static_cast<int>(value); }

}  // namespace

pid_t clone3(const CloneArgs& args) {
  if (failpoint("clone3") != 0) return -1;
  return result(syscall(SYS_clone3, &args, sizeof(args)));
}

int pidfd_open(pid_t pid, unsigned flags) {
  if (failpoint("pidfd_open") != 0) return -1;
  return result(syscall(SYS_pidfd_open, pid, flags));
}

int pidfd_send_signal(int pidfd, int signal) {
  if (failpoint("pidfd_send_signal") != 0) return -1;
  return result(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

int pidfd_getfd(int pidfd, int target_fd) {
  if (failpoint("pidfd_getfd") != 0) return -1;
  return result(syscall(SYS_pidfd_getfd, pidfd, target_fd, 0));
}

int setns(int fd, int flags) {
  if (failpoint("setns") != 0) return -1;
  return result(syscall(SYS_setns, fd, flags));
}

int openat2(int dir, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  if (failpoint("openat2") != 0) return -1;
  // struct open_how, OPEN_HOW_SIZE_VER0.
  const struct {
    uint64_t flags, mode, resolve;
  } how = {flags | O_CLOEXEC, (flags & O_CREAT) != 0 ? mode : 0, resolve};
  constexpr int kAttempts = 64;
  for (int attempt = 1;; ++attempt) {
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt == kAttempts) return result(fd);
  }
}

int open_tree(int dir, const char* path, unsigned flags) {
  if (failpoint("open_tree") != 0) return -1;
  return result(syscall(SYS_open_tree, dir, path, flags | O_CLOEXEC));
}

int move_mount(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
  if (failpoint("move_mount") != 0) return -1;
  return result(syscall(SYS_move_mount, from_dir, from, to_dir, to, flags));
}

int mount_setattr(int dir, const char* path, unsigned flags, const MountAttr& attributes) {
  if (failpoint("mount_setattr") != 0) return -1;
  return result(syscall(SYS_mount_setattr, dir, path, flags, &attributes, sizeof(attributes)));
}

int fsopen(const char* type) {
  if (failpoint("fsopen") != 0) return -1;
  return result(syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */));
}

int fsconfig(int fs, unsigned command, const char* key, const char* value) {
  if (failpoint("fsconfig") != 0) return -1;
  return result(syscall(SYS_fsconfig, fs, command, key, value, 0));
}

int fsmount(int fs, uint64_t attributes) {
  if (failpoint("fsmount") != 0) return -1;
  return result(syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, attributes));
}

int pivot_root(const char* new_root, const char* put_old) {
  if (failpoint("pivot_root") != 0) return -1;
  return result(syscall(SYS_pivot_root, new_root, put_old));
}

int close_range(unsigned first, unsigned last, bool cloexec) {
  if (failpoint("close_range") != 0) return -1;
  return result(syscall(SYS_close_range, first, last, cloexec ? 4u /* CLOSE_RANGE_CLOEXEC */ : 0u));
}

int execveat(int dir, const char* path, char* const argv[], char* const env[], int flags) {
  if (failpoint("execveat") != 0) return -1;
  return result(syscall(SYS_execveat, dir, path, argv, env, flags));
}

int setgroups(size_t count, const uint32_t* groups) {
  if (failpoint("setgroups") != 0) return -1;
  return result(syscall(SYS_setgroups, count, groups));
}

int setresgid(uint32_t gid) {
  if (failpoint("setresgid") != 0) return -1;
  return result(syscall(SYS_setresgid, gid, gid, gid));
}

int setresuid(uint32_t uid) {
  if (failpoint("setresuid") != 0) return -1;
  return result(syscall(SYS_setresuid, uid, uid, uid));
}

namespace {

// struct __user_cap_header_struct and __user_cap_data_struct of <linux/capability.h>.
struct CapabilityHeader {
  uint32_t version = 0x20080522;  // _LINUX_CAPABILITY_VERSION_3
  int32_t pid = 0;
};
struct CapabilityWord {
  uint32_t effective = 0, permitted = 0, inheritable = 0;
};

uint64_t join(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

}  // namespace

int capget(CapabilitySets* sets) {
  if (failpoint("capget") != 0) return -1;
  CapabilityHeader header;
  CapabilityWord words[2];
  if (syscall(SYS_capget, &header, words) != 0) return -1;
  sets->effective = join(words[0].effective, words[1].effective);
  sets->permitted = join(words[0].permitted, words[1].permitted);
  sets->inheritable = join(words[0].inheritable, words[1].inheritable);
  return 0;
}

int capset(const CapabilitySets& sets) {
  if (failpoint("capset") != 0) return -1;
  CapabilityHeader header;
  CapabilityWord words[2];
  for (int i = 0; i < 2; ++i) {
    words[i].effective = static_cast<uint32_t>(sets.effective >> (32 * i));
    words[i].permitted = static_cast<uint32_t>(sets.permitted >> (32 * i));
    words[i].inheritable = static_cast<uint32_t>(sets.inheritable >> (32 * i));
  }
  return result(syscall(SYS_capset, &header, words));
}

int seccomp_filter(const void* program, uint16_t count, uint32_t flags) {
  if (failpoint("seccomp") != 0) return -1;
  // struct sock_fprog of <linux/filter.h>.
  const struct {
    uint16_t count;
    const void* program;
  } fprog = {count, program};
  return result(syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, flags, &fprog));
}

int join_new_session_keyring() {
  if (failpoint("keyctl") != 0) return -1;
  return result(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr));
}

ssize_t getcwd(char* buffer, size_t size) {
  if (failpoint("getcwd") != 0) return -1;
  return syscall(SYS_getcwd, buffer, size);
}

}  // namespace coracle::sys
