// Keeps the monitor alive and out of reach.
#ifndef CORACLE_NATIVE_MONITOR_PROTECT_H_
#define CORACLE_NATIVE_MONITOR_PROTECT_H_

namespace coracle {

// Leaves the session and process group of whoever started the monitor, blocks every signal (a
// signal to the server's group, or a broken pipe, must not take a pod down; SIGKILL and SIGSTOP
// remain), asks for oom_score_adj -998 and the hard limit of open files, and forbids other users
// to trace it. What the host does not permit is left as it is.
void protect_process();

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_PROTECT_H_
