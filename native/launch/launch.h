// Launching one process of a pod: what the monitor calls.
#ifndef CORACLE_NATIVE_LAUNCH_LAUNCH_H_
#define CORACLE_NATIVE_LAUNCH_LAUNCH_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "native/plan/launch_plan.h"
#include "native/sys/error.h"

namespace coracle {

// Where the runtime's --root is mounted in the monitor's mount namespace. The child names it by
// path: a descriptor opened by the monitor belongs to the monitor's mount namespace, and an
// overlay takes no layer of a namespace other than the caller's (Linux 5.14).
inline constexpr char kDataDir[] = "/data";
// The same directory with the id maps of the pod's user namespace: layers that belong to root on
// the disk belong to the pod's root here, and are shared with all other pods.
inline constexpr char kMappedDataDir[] = "/mapped";

// Owned by the monitor. Descriptors are close-on-exec; a launch closes none of them.
struct PodContext {
  int data_fd = -1;        // kDataDir, as a descriptor
  int shm_fd = -1;         // the pod's /dev/shm, mounted in the monitor's namespace, or -1
  int proc_fd = -1;        // root of a private procfs of the host's PID namespace
  int pod_pidns_fd = -1;   // PID namespace of the pod's reaper, or -1
  int self_pidns_fd = -1;  // PID namespace of the monitor
  int devnull_fd = -1;     // /dev/null, open for reading and writing, on a read-only mount
  int userns_fd = -1;      // the pod's user namespace, or -1: it has the monitor's
  uint32_t root_uid = 0, root_gid = 0;  // what root of that namespace is in the host
  const char* data_dir = kDataDir;      // or kMappedDataDir
  const char* rootfs_dir = "/rootfs";   // empty directory where a child attaches its root
};

// A process that has been cloned. The receiver owns the descriptors.
struct Launched {
  pid_t pid = 0;
  int pidfd = -1;
  // One byte lets the child execve; closing it, or the monitor's death, ends the child. -1 with
  // kStartAtOnce.
  int wake_fd = -1;
  // A SOCK_SEQPACKET socket, read with read_report().
  int report_fd = -1;
  // The pty master, with a Console step; set by read_report().
  int terminal_fd = -1;
};

enum class ReportKind : uint32_t {
  kReady = 0,     // every step but Execve is done; the child waits for the wake
  kError = 1,     // a step has failed; the child is about to end, but see read_report()
  kTerminal = 2,  // carries the pty master; read_report() keeps it to itself
};

inline constexpr size_t kMaxGroups = 256;

// What a child says about itself, one record a datagram.
struct Report {
  ReportKind kind = ReportKind::kReady;
  int32_t code = 0;  // errno, of kError
  uint32_t step_index = 0;
  Op op = Op::kExecve;  // of the failing step; unspecified where none was under way
  uint16_t group_count = 0;
  uint32_t uid = 0, gid = 0;
  uint32_t warnings = 0;                  // LaunchWarnings
  uint64_t begun_at = 0;                  // CLOCK_MONOTONIC, ns: the child's first instruction
  uint64_t cgroup_ns = 0, mounts_ns = 0;  // what its steps of these kinds took
  uint64_t prepared_at = 0;               // CLOCK_MONOTONIC, ns: its last look, see StepClock
  char step[40] = {};                     // of kError, in words
  char path[472] = {};                    // of kError; a longer one is cut
  uint32_t groups[kMaxGroups] = {};
};

// Checks the whole plan, then clones a child that walks it, and returns without waiting for the
// child. `fds` are the descriptors received with the plan; they stay the caller's, and may be
// closed as soon as this returns. `parent_pidfd` is a pidfd of the process of plan.parent, or -1.
// `stdio` are the descriptors to install as 0, 1 and 2 (-1: /dev/null); ignored with kTerminal.
//
// The caller must be single-threaded and must ignore no signal but SIGPIPE: the program would
// ignore it, too, and of a SIGCHLD that is ignored wait(2) finds nothing. It waits with
// waitid(P_PIDFD, …, __WALL). Fails with EINVAL for a plan that breaks a rule of native/plan, ESRCH
// where the process of plan.parent has ended, and the errors of clone3(2).
Error launch(const PodContext& context, const LaunchPlan& plan, const int* fds, size_t fd_count,
             int parent_pidfd, const int stdio[3], Launched* out);

enum class ReportResult : uint8_t {
  kReport,  // `report` holds kReady or kError
  kNone,    // nothing more for now
  // The child has closed its end. After kReady and the wake: execve has succeeded (or the process
  // was killed between the two). Before kReady: the child was killed during its steps, and its
  // wait status says by what.
  kEnd,
};

// Takes one record from launched->report_fd without blocking. The pty master of a Console step
// goes to launched->terminal_fd before kReady is returned; where the process has no descriptor left
// for it, kError with EMFILE is returned, though the child goes on.
ReportResult read_report(Launched* launched, Report* report);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_LAUNCH_H_
