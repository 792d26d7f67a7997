// Ends or signals every process of a cgroup, of either version.
#ifndef CORACLE_NATIVE_MONITOR_CGROUP_KILL_H_
#define CORACLE_NATIVE_MONITOR_CGROUP_KILL_H_

namespace coracle {

enum class CgroupKill {
  kDone,   // no process is left, or (v2) the kernel has taken on to end them all
  kRetry,  // some were still there: call again a little later
};

// `kill_fd` is cgroup.kill of v2 opened for writing, or cgroup.procs of v1 opened for reading.
// Work is bounded; nothing blocks. `proc_fd` is a procfs root: a v1 list is cached with the open
// file for as long as it is read, so each look needs a file opened anew.
// A frozen v1 cgroup keeps its processes until whoever froze it thaws it.
CgroupKill kill_cgroup(int proc_fd, int kill_fd);

// Sends `signal` once to every process listed in `procs_fd`, a cgroup.procs open for reading.
// 0 or an errno; ESRCH where there was none.
int signal_cgroup(int proc_fd, int procs_fd, int signal);

// Whether a descriptor is a v1 list (readable) rather than a v2 kill file.
bool is_procs_file(int kill_fd);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_CGROUP_KILL_H_
