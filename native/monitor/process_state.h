// What the kernel knows about a child that has ended, or is about to.
#ifndef CORACLE_NATIVE_MONITOR_PROCESS_STATE_H_
#define CORACLE_NATIVE_MONITOR_PROCESS_STATE_H_

#include <stdint.h>
#include <sys/types.h>

namespace coracle {

struct ExitStatus {
  int32_t wait_status = 0;  // exit code << 8, or the signal
};

// Looks without reaping (waitid(2), WNOWAIT). False while the process lives, or is traced.
bool read_exit_status(int pidfd, ExitStatus* status);

// The same for a process that somebody traces, whose end the kernel tells the tracer alone for as
// long as that likes (ptrace(2)). From /proc/PID/stat; false where the process lives, or the kernel
// does not let this one know (PTRACE_MODE_READ_FSCREDS).
bool read_traced_exit_status(int proc_fd, pid_t pid, ExitStatus* status);

// Reaps a process that has ended; its pid is free for reuse from then on. False where a tracer
// holds it still.
bool reap(int pidfd);

// A child that has ended and is not reaped, of all of them; 0: there is none.
pid_t ended_child();

// Whether a child has called execve since it was cloned, zombies included: PF_FORKNOEXEC, 0x40 of
// the flags in /proc/PID/stat, is set by clone and cleared by execve. True where /proc can't say.
bool has_executed(int proc_fd, pid_t pid);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_PROCESS_STATE_H_
