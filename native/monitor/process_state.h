// What the kernel knows about a child that has ended, or is about to.
#ifndef CORACLE_NATIVE_MONITOR_PROCESS_STATE_H_
#define CORACLE_NATIVE_MONITOR_PROCESS_STATE_H_

#include <stdint.h>
#include <sys/types.h>

namespace coracle {

struct ExitStatus {
  int32_t wait_status = 0;  // exit code << 8, or the signal
};

// Looks without reaping (waitid(2), WNOWAIT). False while the process lives.
bool read_exit_status(int pidfd, ExitStatus* status);

// Reaps a process that has ended; its pid is free for reuse from then on.
void reap(int pidfd);

// Whether a child has called execve since it was cloned, zombies included: PF_FORKNOEXEC, 0x40 of
// the flags in /proc/PID/stat, is set by clone and cleared by execve. True where /proc can't say.
bool has_executed(int proc_fd, pid_t pid);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_PROCESS_STATE_H_
