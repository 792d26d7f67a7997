#include "native/launch/decode.h"

#include <sys/stat.h>

#include <initializer_list>

#include "native/launch/dispatch.h"
#include "native/launch/launch.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// A namespace that a launch may make or join. PID namespaces have PidMode; the user namespace is
// the pod's and has a step of its own.
constexpr uint64_t kNamespaces = sys::kCloneNewNs | sys::kCloneNewCgroup | sys::kCloneNewUts |
                                 sys::kCloneNewIpc | sys::kCloneNewNet;
constexpr uint32_t kKnownFlags =
    kExec | kTerminal | kKillCgroupOnExit | kStartAtOnce | kAttachable | kHoldStdin | kStdinOnce;
constexpr uint32_t kMaxResource = 16;        // RLIM_NLIMITS
constexpr uint32_t kMaxInstructions = 4096;  // BPF_MAXINSNS
constexpr uint32_t kInstruction = 8;         // sizeof(struct sock_filter)
// SECCOMP_FILTER_FLAG_TSYNC, _LOG, _SPEC_ALLOW and _WAIT_KILLABLE_RECV. NEW_LISTENER returns a
// descriptor that nobody would receive.
constexpr uint32_t kSeccompFlags = 1u | 2u | 4u | 32u;

Error rule(const char* text) { return Error{EINVAL, "decode plan", text}; }
Error check(bool holds, const char* text) { return holds ? Error{} : rule(text); }

bool has_dotdot(const Str& path) {
  const char* p = path.data;
  for (;;) {
    while (*p == '/') ++p;
    if (*p == 0) return false;
    if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == 0)) return true;
    while (*p != 0 && *p != '/') ++p;
  }
}

bool is_target(const Str& path) {
  return path.size < kMaxPath && path.data[0] == '/' && !has_dotdot(path);
}

bool is_data_path(const Str& path) {
  return path.size != 0 && path.size < kMaxPath && path.data[0] != '/' && !has_dotdot(path);
}

bool are_layers(Bytes list, uint16_t count) {
  return count > 0 && count <= kMaxLowers && for_each_string(list, count, is_data_path);
}

bool starts_with(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

// One overload a step; members are what later steps depend on.
class Checker {
 public:
  Checker(const LaunchPlan& plan, size_t fd_count, PointerArena arena, Program* out)
      : plan_(plan), fd_count_(fd_count), arena_(arena), out_(out) {}

  Error next(uint32_t index, Op op) {
    last_ = index + 1 == plan_.step_count;
    // The child has taken leave of its descriptors by then, and the filter may forbid the rest.
    bool late = op == Op::kCapabilities || op == Op::kNoNewPrivs || op == Op::kExecve;
    return check(!filtered_ || late, "step after the seccomp filter");
  }
  bool exec() const { return (plan_.flags & kExec) != 0; }

  Error operator()(const JoinCgroup& step) { return check(has_fd(step.fd), "cgroup descriptor"); }
  Error operator()(const Unshare& step) {
    unshared_ |= step.flags;
    return check((step.flags & ~(kNamespaces & ~sys::kCloneNewNs)) == 0, "unshare flags");
  }
  Error operator()(const JoinNamespaces& step) {
    if (!exec() || root_) return rule("join of namespaces");
    root_ = inside_ = (step.flags & sys::kCloneNewNs) != 0;
    return check((step.flags & ~kNamespaces) == 0 && root_, "namespaces to join");
  }
  Error operator()(const Hostname& step) {
    // Without a UTS namespace of its own it would name the pod, or the host.
    if ((unshared_ & sys::kCloneNewUts) == 0) return rule("host name without UTS namespace");
    return check(step.name.size <= 64, "host name");
  }
  Error operator()(const Overlay& step) {
    if (Error error = take_root(); !error.ok()) return error;
    if (!are_layers(step.lower, step.lower_count)) return rule("overlay layers");
    if (step.upper.empty() != step.work.empty()) return rule("overlay work directory");
    if (step.upper.empty()) return {};
    return check(is_data_path(step.upper) && is_data_path(step.work), "overlay directories");
  }
  Error operator()(const RootBind& step) {
    if (Error error = take_root(); !error.ok()) return error;
    return check(take_mount(step.fd), "root descriptor");
  }
  Error operator()(const Mount& step) {
    if (step.type.empty() || step.type.size > 63) return rule("file system type");
    return target(step.target);
  }
  Error operator()(const Bind& step) {
    if (step.kind > TargetKind::kFile) return rule("bind target kind");
    if (!take_mount(step.fd)) return rule("bind descriptor");
    return target(step.target);
  }
  Error operator()(const PodShm& step) {
    out_->has_pod_shm = true;
    return target(step.target);
  }
  Error operator()(const Mkdir& step) {
    if ((step.mode & ~07777u) != 0) return rule("directory mode");
    return target(step.target);
  }
  Error operator()(const Mknod& step) {
    uint32_t type = step.mode & S_IFMT;
    if (type != S_IFCHR && type != S_IFBLK && type != S_IFIFO) return rule("device type");
    return target(step.target);
  }
  Error operator()(const Symlink& step) {
    if (step.content.empty() || step.content.size >= kMaxPath) return rule("symbolic link");
    return target(step.target);
  }
  Error operator()(const Console&) {
    if (console_ || (plan_.flags & kTerminal) == 0) return rule("console");
    console_ = true;
    return check(root_, "console before the root");
  }
  Error operator()(const Pivot&) {
    if (exec() || !root_ || inside_) return rule("pivot");
    inside_ = true;
    return {};
  }
  Error operator()(const Mask& step) { return target(step.target); }
  Error operator()(const ReadonlyPath& step) { return target(step.target); }
  Error operator()(const Sysctl& step) {
    return check(!step.name.empty() && step.name.size < 256 && step.value.size < 4096, "sysctl");
  }
  Error operator()(const Rlimit& step) {
    return check(step.resource < kMaxResource && step.soft <= step.hard, "resource limit");
  }
  Error operator()(const OomScoreAdj& step) {
    return check(step.value >= -1000 && step.value <= 1000, "oom_score_adj");
  }
  Error operator()(const User& step) {
    if (user_ || capabilities_) return rule("order of user");
    user_ = true;
    if (step.user.size > 255 || step.group.size > 255) return rule("user name");
    if (step.extra_count > kMaxGroups || step.extra.size != step.extra_count * sizeof(uint32_t)) {
      return rule("supplementary groups");
    }
    return check(inside_, "user before the root");
  }
  Error operator()(const Capabilities&) {
    if (capabilities_) return rule("capabilities twice");
    capabilities_ = true;
    return {};
  }
  Error operator()(const NoNewPrivs&) { return {}; }
  Error operator()(const Seccomp& step) {
    filtered_ = true;
    uint32_t size = step.program.size;
    if (size == 0 || size % kInstruction != 0 || size / kInstruction > kMaxInstructions) {
      return rule("seccomp program");
    }
    return check((step.flags & ~kSeccompFlags) == 0, "seccomp flags");
  }
  Error operator()(const Cwd& step) {
    if (step.create != 0) out_->created_cwd = step.path;
    bool path = step.path.data[0] == '/' && step.path.size < kMaxPath;
    if (!path || (step.create != 0 && has_dotdot(step.path))) return rule("working directory");
    return check(inside_, "working directory before the root");
  }
  Error operator()(const ActAsPodRoot&) {
    if (out_->acts_as_pod_root || out_->joins_user_namespace) return rule("act as root of the pod");
    // Of layers that are id-mapped, only a root that is mounted by their owner can be written to.
    if (root_ && !exec()) return rule("act as root of the pod after the root file system");
    out_->acts_as_pod_root = true;
    return {};
  }
  Error operator()(const JoinUserNamespace& step) {
    if (out_->joins_user_namespace || user_ || capabilities_) return rule("join of user namespace");
    out_->joins_user_namespace = true;
    if ((step.flags & ~(sys::kCloneNewNs | sys::kCloneNewCgroup)) != 0)
      return rule("unshare flags");
    return check(inside_, "user namespace before the root");
  }
  Error operator()(const Umask& step) { return check(step.mask <= 0777, "umask"); }
  Error operator()(const Execve& step) {
    if (!last_) return rule("execve before the last step");
    executes_ = true;
    return pointers(step);
  }

  Error operator()(const ImageMount& step) {
    if (!are_layers(step.lower, step.lower_count)) return rule("image layers");
    if (step.sub_path.size >= kMaxPath || has_dotdot(step.sub_path)) return rule("image path");
    // The data directory is outside.
    if (inside_) return rule("image after the pivot");
    return target(step.target);
  }
  Error operator()(const LsmProfile& step) {
    if (step.module.empty() || step.module.size > kMaxModule) return rule("security module");
    for (const char* c = step.module.data; *c != 0; ++c) {
      if (*c < 'a' || *c > 'z') return rule("security module");
    }
    return check(!step.value.empty() && step.value.size < kMaxPath, "security profile");
  }

  Error header() {
    constexpr uint64_t kMade = kNamespaces;
    if ((plan_.flags & ~kKnownFlags) != 0) return rule("flags");
    if (plan_.pid_mode > PidMode::kHost) return rule("PID mode");
    if ((plan_.clone_flags & ~kMade) != 0) return rule("clone flags");
    bool own_mounts = (plan_.clone_flags & sys::kCloneNewNs) != 0;
    if (exec() ? plan_.clone_flags != 0 || plan_.parent.empty() : !own_mounts) {
      return rule("mount namespace");
    }
    if (plan_.pid_mode == PidMode::kTarget && plan_.parent.empty()) return rule("parent");
    for (FdIndex fd : {plan_.stdin_.fd, plan_.stdout_.fd, plan_.stderr_.fd, plan_.log.stdout_fd,
                       plan_.log.stderr_fd, plan_.into_cgroup, plan_.kill_cgroup}) {
      if (fd != kNoFd && !has_fd(fd)) return rule("descriptor index");
    }
    unshared_ = plan_.clone_flags;
    return check(plan_.step_count >= 1 && plan_.step_count <= kMaxSteps, "number of steps");
  }

  Error complete() const {
    if (!executes_) return rule("no execve");
    if (!inside_) return rule("no pivot");
    return check(console_ == ((plan_.flags & kTerminal) != 0), "terminal without console");
  }

 private:
  bool has_fd(FdIndex fd) const { return fd >= 0 && static_cast<size_t>(fd) < fd_count_; }

  // A detached mount can be attached once.
  bool take_mount(FdIndex fd) {
    if (!has_fd(fd) || static_cast<size_t>(fd) >= sizeof(taken_) || taken_[fd]) return false;
    taken_[fd] = true;
    return true;
  }

  Error take_root() {
    if (exec() || root_) return rule("root file system");
    root_ = true;
    return {};
  }

  Error target(const Str& path) const {
    if (!root_) return rule("target before the root");
    return check(is_target(path), "target path");
  }

  // argv and envp in one piece: argv, NULL, envp, a place for HOME, NULL.
  Error pointers(const Execve& step) {
    size_t needed = size_t{step.argc} + step.envc + 3;
    if (step.argc == 0) return rule("arguments");
    if (needed > arena_.capacity) return Error{E2BIG, "decode plan", "arguments"};
    char** next = arena_.slots;
    auto put = [&](const Str& item) {
      // execve(2) does not write to the strings; its type says so for historical reasons only.
      *next++ = const_cast<char*>(item.data);
      return true;
    };
    out_->argv = next;
    if (!for_each_string(step.argv, step.argc, put)) return rule("arguments");
    *next++ = nullptr;
    out_->envp = next;
    if (!for_each_string(step.env, step.envc, put)) return rule("environment");
    bool has_home = false;
    for (char** entry = out_->envp; entry != next; ++entry) {
      if (starts_with(*entry, "PATH=") && out_->search_path == nullptr) {
        out_->search_path = *entry + 5;
      }
      has_home |= starts_with(*entry, "HOME=");
    }
    if (!has_home) out_->home_slot = next;
    next[0] = next[1] = nullptr;
    return check(out_->argv[0][0] != 0, "program");
  }

  const LaunchPlan& plan_;
  size_t fd_count_;
  PointerArena arena_;
  Program* out_;
  bool taken_[256] = {};
  uint64_t unshared_ = 0;
  bool root_ = false;    // its file system is mounted, or its mount namespace joined
  bool inside_ = false;  // it is "/"
  bool console_ = false, user_ = false, capabilities_ = false;
  bool last_ = false, executes_ = false, filtered_ = false;
};

}  // namespace

Error decode_program(const LaunchPlan& plan, size_t fd_count, PointerArena arena, Program* out) {
  Checker checker(plan, fd_count, arena, out);
  if (Error error = checker.header(); !error.ok()) return error;
  Error error = for_each_step(plan, [&](uint32_t index, Op op, Bytes payload) {
    if (Error error = checker.next(index, op); !error.ok()) return error;
    return dispatch(op, payload, checker);
  });
  return error.ok() ? checker.complete() : error;
}

}  // namespace coracle
