// ActAsPodRoot, JoinUserNamespace: the two halves of entering the pod's user namespace.
//
// The root file system is built outside the namespace, with the privileges of the host: layers
// keep their trusted.overlay attributes, device nodes can be made and sysfs mounted whatever the
// network is. Only then does the child go in, and take a copy of the mounts that belongs to the
// namespace. docs/decisions/0004-user-namespaces-are-entered-late.md has the reasons.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/fsuid.h>

#include "native/launch/child.h"
#include "native/launch/descriptors.h"
#include "native/sys/syscalls.h"

namespace coracle {

Error run(const ActAsPodRoot&, Child& child) {
  const uint32_t uid = child.context->root_uid, gid = child.context->root_gid;
  // While the host's privileges last: the pipes belong to the monitor's user, whom the namespace
  // does not know. In the place of a terminal there still is the host's null device.
  if ((child.plan->flags & kTerminal) == 0) own_stdio(child, uid, gid);
  // setfsuid(2) reports no failure; a second call tells what is set.
  setfsgid(gid);
  setfsuid(uid);
  if (setfsgid(UINT32_MAX) != static_cast<int>(gid) ||
      setfsuid(UINT32_MAX) != static_cast<int>(uid)) {
    return Error{EPERM, "act as root of the pod", ""};
  }
  child.fs_uid = uid;
  child.fs_gid = gid;
  if (Error error = guard(); !error.ok()) return error;
  // Those of the file system went with the user.
  return restore_capabilities();
}

Error run(const JoinUserNamespace& step, Child& child) {
  if (sys::setns(child.context->userns_fd, static_cast<int>(sys::kCloneNewUser)) != 0) {
    return failed("join user namespace");
  }
  // The ids from outside have no name in here; those of the monitor's groups would stay, too.
  if (sys::setgroups(0, nullptr) != 0 || sys::setresgid(0) != 0 || sys::setresuid(0) != 0) {
    return failed("become root of user namespace");
  }
  if (Error error = guard(); !error.ok()) return error;
  if (step.flags == 0) return {};
  if (unshare(static_cast<int>(step.flags)) != 0) return failed("make namespace");
  if ((step.flags & sys::kCloneNewNs) == 0) return {};
  // The root that was open so far is a mount of the namespace left behind.
  child.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (child.root < 0) return failed("open root");
  return (child.plan->flags & kTerminal) != 0 ? reopen_terminal(child) : Error{};
}

}  // namespace coracle
