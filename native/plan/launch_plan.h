// The LaunchPlan: everything a monitor needs to make one process, fully resolved.
//
// A plan is a header and an ordered list of steps. The monitor checks the whole list before
// clone3; the child then walks it with raw system calls. TypeScript writes the same plan as
// `LaunchPlan` in src/native/types.ts, and its order of steps is the order of execution.
//
// File descriptors travel beside the message (SCM_RIGHTS); a field of type FdIndex names one by
// its place in that list, kNoFd means none.
#ifndef CORACLE_NATIVE_PLAN_LAUNCH_PLAN_H_
#define CORACLE_NATIVE_PLAN_LAUNCH_PLAN_H_

#include "native/plan/codec.h"

namespace coracle {

using FdIndex = int16_t;
inline constexpr FdIndex kNoFd = -1;

enum class PidMode : uint8_t {
  kNew = 0,     // its own PID namespace, in which it is process 1
  kPod = 1,     // the pod's shared PID namespace
  kTarget = 2,  // the PID namespace of the container named by `parent`
  kHost = 3,    // the monitor's, which is the host's
};

enum LaunchFlags : uint32_t {
  kExec = 1u << 0,              // joins the namespaces of the container named by `parent`
  kTerminal = 1u << 1,          // stdio is a pty made by the Console step
  kKillCgroupOnExit = 1u << 2,  // end every process of the cgroup when this one exits
  kStartAtOnce = 1u << 3,       // do not park before execve
  kAttachable = 1u << 4,        // StdioMode::kLog is pumped without a log, too, for kAttach
  kHoldStdin = 1u << 5,         // stdin is a pipe whose end the monitor holds open, for kAttach
  kStdinOnce = 1u << 6,         // the first kAttach with an input to end ends stdin, too
};

enum class StdioMode : uint8_t {
  kNull = 0,  // /dev/null
  kFd = 1,    // the given descriptor itself
  kLog = 2,   // a pipe that the monitor pumps into the log
};

struct Stdio {
  StdioMode mode = StdioMode::kNull;
  FdIndex fd = kNoFd;
};

enum class LogMode : uint8_t {
  kNone = 0,
  kCri = 1,  // "<RFC3339Nano> <stream> <P|F> <content>\n"
  kRaw = 2,  // the bytes as they are, moved with splice(2)
};

struct Log {
  LogMode mode = LogMode::kNone;
  FdIndex stdout_fd = kNoFd;  // kCri: the one log file for both streams, or kNoFd: kStart brings it
  FdIndex stderr_fd = kNoFd;  // kRaw only
  uint32_t max_line = 16384;  // bytes of content in one line, kCri only
};

struct LaunchPlan {
  Str id;
  Str parent;                // container id: the target of an exec or of PidMode::kTarget
  uint32_t clone_flags = 0;  // CLONE_NEW* of clone3(2), without CLONE_NEWPID (see pid_mode)
  PidMode pid_mode = PidMode::kNew;
  uint32_t flags = 0;
  Stdio stdin_, stdout_, stderr_;  // stdin is kNull with kHoldStdin
  Log log;
  FdIndex into_cgroup = kNoFd;  // directory of a cgroup v2, for CLONE_INTO_CGROUP
  FdIndex kill_cgroup = kNoFd;  // cgroup.kill of v2 for writing, or cgroup.procs of v1 for reading
  uint32_t step_count = 0;
  Bytes steps;  // step_count × { Op op; Bytes payload }
};

template <typename A>
void fields(A& a, auto& s, LaunchPlan*) {
  a(s.id), a(s.parent), a(s.clone_flags), a(s.pid_mode), a(s.flags);
  a(s.stdin_.mode), a(s.stdin_.fd), a(s.stdout_.mode), a(s.stdout_.fd);
  a(s.stderr_.mode), a(s.stderr_.fd);
  a(s.log.mode), a(s.log.stdout_fd), a(s.log.stderr_fd), a(s.log.max_line);
  a(s.into_cgroup), a(s.kill_cgroup), a(s.step_count), a(s.steps);
}

// The numbers are the protocol: never reuse or renumber one.
enum class Op : uint16_t {
  kJoinCgroup = 1,
  kUnshare = 2,
  kJoinNamespaces = 3,
  kHostname = 4,
  kOverlay = 5,
  kRootBind = 6,
  kMount = 7,
  kBind = 8,
  kPodShm = 9,
  kMkdir = 10,
  kMknod = 11,
  kSymlink = 12,
  kConsole = 13,
  kPivot = 14,
  kMask = 15,
  kReadonlyPath = 16,
  kSysctl = 17,
  kRlimit = 18,
  kOomScoreAdj = 19,
  kUser = 20,
  kCapabilities = 21,
  kNoNewPrivs = 22,
  kSeccomp = 23,
  kCwd = 24,
  kUmask = 25,
  kExecve = 26,
  kActAsPodRoot = 27,
  kJoinUserNamespace = 28,
  kImageMount = 29,
  kLsmProfile = 30,
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_PLAN_LAUNCH_PLAN_H_
