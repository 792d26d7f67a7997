// JoinCgroup, Unshare, JoinNamespaces, Hostname: where the child lives.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/sys/syscalls.h"

namespace coracle {

Error run(const JoinCgroup& step, Child& child) {
  // "0" is the writer, whatever PID namespace it is in.
  if (write(child.fd(step.fd), "0", 1) != 1) return failed("join cgroup", step.path.data);
  return {};
}

Error run(const Unshare& step, Child&) {
  if (unshare(static_cast<int>(step.flags)) != 0) return failed("make namespace");
  return {};
}

Error run(const JoinNamespaces& step, Child& child) {
  if (child.parent_pidfd < 0) {
    return Error{ESRCH, "join namespaces of container", child.plan->parent.data};
  }
  // One call joins all or none; a mount namespace brings its root and working directory along.
  if (sys::setns(child.parent_pidfd, static_cast<int>(step.flags)) != 0) {
    return failed("join namespaces of container", child.plan->parent.data);
  }
  child.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root < 0) return failed("open root of container", child.plan->parent.data);
  return {};
}

Error run(const Hostname& step, Child&) {
  if (sethostname(step.name.data, step.name.size) != 0) {
    return failed("set host name", step.name.data);
  }
  return {};
}

}  // namespace coracle
