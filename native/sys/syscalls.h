// System calls that the C libraries we build with lack or wrap unsuitably.
//
// Thin: each returns what the kernel returns, -1 with errno on failure. Structures and constants
// are our own because musl 1.2.3 has none of them and glibc's <sys/mount.h> collides with
// <linux/mount.h>. None of them allocates or takes a lock: all may be called between clone and
// execve. They also leave a caller's other threads alone, where setresuid(3) and its like
// broadcast to every thread of the process.
#ifndef CORACLE_NATIVE_SYS_SYSCALLS_H_
#define CORACLE_NATIVE_SYS_SYSCALLS_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace coracle::sys {

// clone(2), clone3(2).
inline constexpr uint64_t kCloneVm = 0x00000100;
inline constexpr uint64_t kClonePidfd = 0x00001000;
inline constexpr uint64_t kCloneVfork = 0x00004000;
inline constexpr uint64_t kCloneNewNs = 0x00020000;
inline constexpr uint64_t kCloneNewCgroup = 0x02000000;
inline constexpr uint64_t kCloneNewUts = 0x04000000;
inline constexpr uint64_t kCloneNewIpc = 0x08000000;
inline constexpr uint64_t kCloneNewUser = 0x10000000;
inline constexpr uint64_t kCloneNewPid = 0x20000000;
inline constexpr uint64_t kCloneNewNet = 0x40000000;
inline constexpr uint64_t kCloneClearSighand = 0x100000000;  // Linux 5.5
inline constexpr uint64_t kCloneIntoCgroup = 0x200000000;    // Linux 5.7, cgroup v2 only

// struct clone_args, CLONE_ARGS_SIZE_VER2.
struct CloneArgs {
  uint64_t flags = 0;
  uint64_t pidfd = 0;  // address of an int
  uint64_t child_tid = 0;
  uint64_t parent_tid = 0;
  uint64_t exit_signal = 0;
  uint64_t stack = 0;
  uint64_t stack_size = 0;
  uint64_t tls = 0;
  uint64_t set_tid = 0;
  uint64_t set_tid_size = 0;
  uint64_t cgroup = 0;
};
static_assert(sizeof(CloneArgs) == 88);

// Without kCloneVm: returns twice, as fork(2) does, without running any fork handlers.
pid_t clone3(const CloneArgs& args);

int pidfd_open(pid_t pid, unsigned flags);
int pidfd_send_signal(int pidfd, int signal);
int pidfd_getfd(int pidfd, int target_fd);
// setns(2) with a namespace descriptor or, since Linux 5.8, a pidfd.
int setns(int fd, int flags);

// openat2(2). O_CLOEXEC is added; `mode` counts with O_CREAT only. EAGAIN, which a rename racing
// with a scoped lookup causes, is retried a bounded number of times.
inline constexpr uint64_t kResolveNoXdev = 0x01;
inline constexpr uint64_t kResolveNoMagiclinks = 0x02;
inline constexpr uint64_t kResolveNoSymlinks = 0x04;
inline constexpr uint64_t kResolveBeneath = 0x08;
inline constexpr uint64_t kResolveInRoot = 0x10;
int openat2(int dir, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve);

// The mount interface of Linux 5.2, mount_setattr(2) of 5.12.
inline constexpr unsigned kOpenTreeClone = 1;
inline constexpr unsigned kAtEmptyPath = 0x1000;
inline constexpr unsigned kAtRecursive = 0x8000;
inline constexpr unsigned kMoveMountFromEmptyPath = 0x04;
inline constexpr unsigned kMoveMountToEmptyPath = 0x40;
inline constexpr unsigned kFsconfigSetFlag = 0;
inline constexpr unsigned kFsconfigSetString = 1;
inline constexpr unsigned kFsconfigCreate = 6;
inline constexpr uint64_t kMountAttrReadonly = 0x01;
inline constexpr uint64_t kMountAttrNosuid = 0x02;
inline constexpr uint64_t kMountAttrNodev = 0x04;
inline constexpr uint64_t kMountAttrNoexec = 0x08;
inline constexpr uint64_t kMountAttrAtimeMask = 0x70;
inline constexpr uint64_t kMountAttrIdmap = 0x100000;  // Linux 5.12; takes MountAttr::userns_fd

// struct mount_attr, MOUNT_ATTR_SIZE_VER0.
struct MountAttr {
  uint64_t set = 0;
  uint64_t clear = 0;
  uint64_t propagation = 0;  // one of MS_PRIVATE, MS_SLAVE, MS_SHARED, or 0
  uint64_t userns_fd = 0;
};
static_assert(sizeof(MountAttr) == 32);

// Descriptors come back close-on-exec.
int open_tree(int dir, const char* path, unsigned flags);
int move_mount(int from_dir, const char* from, int to_dir, const char* to, unsigned flags);
int mount_setattr(int dir, const char* path, unsigned flags, const MountAttr& attributes);
int fsopen(const char* type);
int fsconfig(int fs, unsigned command, const char* key, const char* value);
int fsmount(int fs, uint64_t attributes);
int pivot_root(const char* new_root, const char* put_old);

// close_range(2), Linux 5.9; `cloexec` marks instead of closing.
int close_range(unsigned first, unsigned last, bool cloexec = false);
int execveat(int dir, const char* path, char* const argv[], char* const env[], int flags);

int setgroups(size_t count, const uint32_t* groups);
int setresgid(uint32_t gid);  // real, effective and saved
int setresuid(uint32_t uid);

// capget(2), capset(2) of the calling thread, version 3: bit n is capability n.
struct CapabilitySets {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
};
int capget(CapabilitySets* sets);
int capset(const CapabilitySets& sets);

// seccomp(2), SECCOMP_SET_MODE_FILTER. `count` instructions of struct sock_filter (8 bytes each).
int seccomp_filter(const void* program, uint16_t count, uint32_t flags);

// keyctl(KEYCTL_JOIN_SESSION_KEYRING) with a new anonymous keyring.
int join_new_session_keyring();

// The raw getcwd(2): unlike getcwd(3) it hands "(unreachable)/…" through. Returns the length with
// the NUL.
ssize_t getcwd(char* buffer, size_t size);

}  // namespace coracle::sys

#endif  // CORACLE_NATIVE_SYS_SYSCALLS_H_
