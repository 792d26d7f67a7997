// The child's side of the report line; read_report() of launch.h is the other.
#ifndef CORACLE_NATIVE_LAUNCH_REPORT_H_
#define CORACLE_NATIVE_LAUNCH_REPORT_H_

#include "native/launch/child.h"

namespace coracle {

// Sends child.report as kReady. Uses write(2) alone: a seccomp filter is in force. Fails where the
// monitor is gone, whenever that was: a process closes its files before its children get their
// parent death signal.
Error report_ready(Child& child);
void report_error(Child& child, const Error& error);
Error report_terminal(const Child& child, int master);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_REPORT_H_
