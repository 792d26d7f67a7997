// The payload of each step of a LaunchPlan, in the order of `Op`.
//
// "target" paths are absolute inside the container's root and are resolved with
// openat2(RESOLVE_IN_ROOT); the last component and missing parents are created as the step needs.
#ifndef CORACLE_NATIVE_PLAN_STEPS_H_
#define CORACLE_NATIVE_PLAN_STEPS_H_

#include "native/plan/launch_plan.h"

namespace coracle {

// Moves the child into a cgroup v1 hierarchy: writes "0" to an open `tasks` file.
struct JoinCgroup {
  static constexpr Op kOp = Op::kJoinCgroup;
  FdIndex fd = kNoFd;
  Str path;  // for messages
};
template <typename A>
void fields(A& a, auto& s, JoinCgroup*) {
  a(s.fd), a(s.path);
}

// unshare(2), for namespaces that must be made after a cgroup was joined (CLONE_NEWCGROUP).
struct Unshare {
  static constexpr Op kOp = Op::kUnshare;
  uint32_t flags = 0;
};
template <typename A>
void fields(A& a, auto& s, Unshare*) {
  a(s.flags);
}

// exec: setns(2) into these namespaces of the parent container (its PID namespace is joined by
// the monitor before the clone).
struct JoinNamespaces {
  static constexpr Op kOp = Op::kJoinNamespaces;
  uint32_t flags = 0;
};
template <typename A>
void fields(A& a, auto& s, JoinNamespaces*) {
  a(s.flags);
}

struct Hostname {
  static constexpr Op kOp = Op::kHostname;
  Str name;
};
template <typename A>
void fields(A& a, auto& s, Hostname*) {
  a(s.name);
}

// Mounts the root file system as an overlay. Paths are relative to the monitor's data directory
// (the runtime's --root). `lower` is a list of strings, topmost layer first.
struct Overlay {
  static constexpr Op kOp = Op::kOverlay;
  uint16_t lower_count = 0;
  Bytes lower;  // lower_count × Str
  Str upper;    // empty: a read-only overlay
  Str work;
  Str options;  // comma-separated, e.g. "volatile"; may be empty
};
template <typename A>
void fields(A& a, auto& s, Overlay*) {
  a(s.lower_count), a(s.lower), a(s.upper), a(s.work), a(s.options);
}

// Uses a mount (a detached tree from open_tree(2)) as the root file system.
struct RootBind {
  static constexpr Op kOp = Op::kRootBind;
  FdIndex fd = kNoFd;
  Str path;
};
template <typename A>
void fields(A& a, auto& s, RootBind*) {
  a(s.fd), a(s.path);
}

// Mounts a new instance of a file system (proc, sysfs, tmpfs, devpts, mqueue, cgroup, cgroup2).
struct Mount {
  static constexpr Op kOp = Op::kMount;
  Str type;
  Str source;
  Str target;
  uint64_t attributes = 0;  // MOUNT_ATTR_* of mount_setattr(2)
  Str options;              // comma-separated file system options, "size=65536k,mode=755"
};
template <typename A>
void fields(A& a, auto& s, Mount*) {
  a(s.type), a(s.source), a(s.target), a(s.attributes), a(s.options);
}

enum class TargetKind : uint8_t { kDirectory = 0, kFile = 1 };

// Attaches a detached tree of the host at `target`. MOUNT_ATTR_IDMAP among `attributes_set` shows
// the whole tree with the id maps of the pod's user namespace, mounts below it included.
struct Bind {
  static constexpr Op kOp = Op::kBind;
  FdIndex fd = kNoFd;
  Str source;  // for messages
  Str target;
  TargetKind kind = TargetKind::kDirectory;
  uint64_t attributes_set = 0;
  uint64_t attributes_clear = 0;
  uint8_t recursive_attributes = 0;  // apply the attributes to mounts below it, too
  uint64_t propagation = 0;          // MS_PRIVATE, MS_SLAVE or MS_SHARED, applied recursively
};
template <typename A>
void fields(A& a, auto& s, Bind*) {
  a(s.fd), a(s.source), a(s.target), a(s.kind), a(s.attributes_set), a(s.attributes_clear);
  a(s.recursive_attributes), a(s.propagation);
}

// Attaches the pod's shared /dev/shm.
struct PodShm {
  static constexpr Op kOp = Op::kPodShm;
  Str target;
};
template <typename A>
void fields(A& a, auto& s, PodShm*) {
  a(s.target);
}

// `uid` and `gid` here and in Mknod are the host's.
struct Mkdir {
  static constexpr Op kOp = Op::kMkdir;
  Str target;
  uint32_t mode = 0755;
  uint32_t uid = 0, gid = 0;
};
template <typename A>
void fields(A& a, auto& s, Mkdir*) {
  a(s.target), a(s.mode), a(s.uid), a(s.gid);
}

struct Mknod {
  static constexpr Op kOp = Op::kMknod;
  Str target;
  uint32_t mode = 0;  // with S_IFCHR, S_IFBLK or S_IFIFO
  uint32_t major = 0, minor = 0;
  uint32_t uid = 0, gid = 0;
};
template <typename A>
void fields(A& a, auto& s, Mknod*) {
  a(s.target), a(s.mode), a(s.major), a(s.minor), a(s.uid), a(s.gid);
}

// An existing path is left as it is.
struct Symlink {
  static constexpr Op kOp = Op::kSymlink;
  Str content;
  Str target;
};
template <typename A>
void fields(A& a, auto& s, Symlink*) {
  a(s.content), a(s.target);
}

// Opens a pty in the container's own devpts, binds it to /dev/console (containers only, not for
// an exec) and makes it stdio and the controlling terminal. The master goes to the monitor.
struct Console {
  static constexpr Op kOp = Op::kConsole;
  uint16_t rows = 24, cols = 80;
  uint8_t bind_console = 1;
};
template <typename A>
void fields(A& a, auto& s, Console*) {
  a(s.rows), a(s.cols), a(s.bind_console);
}

// Makes the mounted root "/" and lets go of everything outside it.
struct Pivot {
  static constexpr Op kOp = Op::kPivot;
  uint8_t readonly = 0;
};
template <typename A>
void fields(A& a, auto& s, Pivot*) {
  a(s.readonly);
}

// Hides a path: /dev/null (verified to be 1:3) over a file, an empty read-only tmpfs over a
// directory. A missing path is no error.
struct Mask {
  static constexpr Op kOp = Op::kMask;
  Str target;
};
template <typename A>
void fields(A& a, auto& s, Mask*) {
  a(s.target);
}

// Makes a path read-only by a bind mount on itself. A missing path is no error.
struct ReadonlyPath {
  static constexpr Op kOp = Op::kReadonlyPath;
  Str target;
};
template <typename A>
void fields(A& a, auto& s, ReadonlyPath*) {
  a(s.target);
}

// Writes a sysctl through a private procfs: name as "net.ipv4.ip_forward".
struct Sysctl {
  static constexpr Op kOp = Op::kSysctl;
  Str name;
  Str value;
};
template <typename A>
void fields(A& a, auto& s, Sysctl*) {
  a(s.name), a(s.value);
}

// prlimit(2). With `clamp`, a hard limit that may not be raised stays and the soft one is cut to
// it.
struct Rlimit {
  static constexpr Op kOp = Op::kRlimit;
  uint32_t resource = 0;  // RLIMIT_*
  uint64_t soft = 0, hard = 0;
  uint8_t clamp = 1;
};
template <typename A>
void fields(A& a, auto& s, Rlimit*) {
  a(s.resource), a(s.soft), a(s.hard), a(s.clamp);
}

// A value below what is permitted is a warning in the launch result, not a failure.
struct OomScoreAdj {
  static constexpr Op kOp = Op::kOomScoreAdj;
  int32_t value = 0;
};
template <typename A>
void fields(A& a, auto& s, OomScoreAdj*) {
  a(s.value);
}

// Resolves and takes on an identity, looked up in the container's own /etc/passwd and /etc/group.
// The ids taken are part of the launch result. $HOME is set from passwd where `env` lacks it.
struct User {
  static constexpr Op kOp = Op::kUser;
  Str user;   // name or number; empty: 0
  Str group;  // name or number; empty: the user's primary group (0 for a user without an entry)
  uint8_t merge_groups = 1;  // add the groups whose member list in /etc/group names the user
  uint16_t extra_count = 0;
  Bytes extra;  // extra_count × uint32_t: supplementary groups
};
template <typename A>
void fields(A& a, auto& s, User*) {
  a(s.user), a(s.group), a(s.merge_groups), a(s.extra_count), a(s.extra);
}

// Bit n of a mask is capability number n of capabilities(7). Bits the kernel lacks are ignored.
// Comes after User in the list; the child keeps what it needs until then (PR_SET_KEEPCAPS).
struct Capabilities {
  static constexpr Op kOp = Op::kCapabilities;
  uint64_t bounding = 0, effective = 0, permitted = 0, inheritable = 0, ambient = 0;
};
template <typename A>
void fields(A& a, auto& s, Capabilities*) {
  a(s.bounding), a(s.effective), a(s.permitted), a(s.inheritable), a(s.ambient);
}

struct NoNewPrivs {
  static constexpr Op kOp = Op::kNoNewPrivs;
};
template <typename A>
void fields(A&, auto&, NoNewPrivs*) {}

// A compiled filter: struct sock_filter[] of <linux/filter.h>.
struct Seccomp {
  static constexpr Op kOp = Op::kSeccomp;
  Bytes program;
  uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_*
};
template <typename A>
void fields(A& a, auto& s, Seccomp*) {
  a(s.program), a(s.flags);
}

struct Cwd {
  static constexpr Op kOp = Op::kCwd;
  Str path;
  uint8_t create = 0;  // mkdir -p, as the OCI image spec wants for WorkingDir
};
template <typename A>
void fields(A& a, auto& s, Cwd*) {
  a(s.path), a(s.create);
}

struct Umask {
  static constexpr Op kOp = Op::kUmask;
  uint32_t mask = 022;
};
template <typename A>
void fields(A& a, auto& s, Umask*) {
  a(s.mask);
}

// The last step. argv[0] without a slash is looked up in the PATH of `env`.
struct Execve {
  static constexpr Op kOp = Op::kExecve;
  uint32_t argc = 0;
  Bytes argv;  // argc × Str
  uint32_t envc = 0;
  Bytes env;  // envc × Str, "NAME=value"
};
template <typename A>
void fields(A& a, auto& s, Execve*) {
  a(s.argc), a(s.argv), a(s.envc), a(s.env);
}

// From here on the child makes files as the root of the pod's user namespace, under the ids that
// this has in the host, with all capabilities kept: layers that are id-mapped take no other maker,
// and what it makes belongs to the container's root. Its pipes of stdio go to that root, too.
// Where the pod has a user namespace, every plan has this step and the next one.
struct ActAsPodRoot {
  static constexpr Op kOp = Op::kActAsPodRoot;
};
template <typename A>
void fields(A&, auto&, ActAsPodRoot*) {}

// Joins the pod's user namespace as its root, and then makes the namespaces of `flags`, of
// CLONE_NEWNS and CLONE_NEWCGROUP. What was mounted before is locked against the container by
// that: it can uncover or remount none of it (mount_namespaces(7)). Comes before User.
struct JoinUserNamespace {
  static constexpr Op kOp = Op::kJoinUserNamespace;
  uint32_t flags = 0;
};
template <typename A>
void fields(A& a, auto& s, JoinUserNamespace*) {
  a(s.flags);
}

// Mounts an image read-only at `target`: all of it, or the directory or file at `sub_path`, whose
// symbolic links lead inside the image. Layers as in Overlay.
struct ImageMount {
  static constexpr Op kOp = Op::kImageMount;
  uint16_t lower_count = 0;
  Bytes lower;   // lower_count × Str
  Str sub_path;  // empty: the whole image
  Str target;
  uint64_t attributes = 0;  // MOUNT_ATTR_* besides MOUNT_ATTR_RDONLY
};
template <typename A>
void fields(A& a, auto& s, ImageMount*) {
  a(s.lower_count), a(s.lower), a(s.sub_path), a(s.target), a(s.attributes);
}

// Has a security module take on a profile at the execve: writes `value` to the `exec` attribute of
// `module` ("apparmor") in /proc/self/attr.
struct LsmProfile {
  static constexpr Op kOp = Op::kLsmProfile;
  Str module;
  Str value;  // "exec NAME" for AppArmor
};
template <typename A>
void fields(A& a, auto& s, LsmProfile*) {
  a(s.module), a(s.value);
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_PLAN_STEPS_H_
