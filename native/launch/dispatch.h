// From a step's number and bytes to a call with its typed payload.
#ifndef CORACLE_NATIVE_LAUNCH_DISPATCH_H_
#define CORACLE_NATIVE_LAUNCH_DISPATCH_H_

#include "native/plan/steps.h"
#include "native/sys/error.h"

namespace coracle {

// Decodes `payload` as S and calls `visit(step)`; EINVAL where the bytes are not exactly one S.
template <typename S, typename Visit>
Error visit_step(Bytes payload, Visit& visit) {
  S step;
  if (!decode(payload, step)) return Error{EINVAL, "decode plan", "step payload"};
  return visit(step);
}

// The one list of all steps: adding an Op means adding its line here, and an overload to every
// visitor. EINVAL for a number that is not in it.
template <typename Visit>
Error dispatch(Op op, Bytes payload, Visit&& visit) {
  switch (op) {
    case Op::kJoinCgroup:
      return visit_step<JoinCgroup>(payload, visit);
    case Op::kUnshare:
      return visit_step<Unshare>(payload, visit);
    case Op::kJoinNamespaces:
      return visit_step<JoinNamespaces>(payload, visit);
    case Op::kHostname:
      return visit_step<Hostname>(payload, visit);
    case Op::kOverlay:
      return visit_step<Overlay>(payload, visit);
    case Op::kRootBind:
      return visit_step<RootBind>(payload, visit);
    case Op::kMount:
      return visit_step<Mount>(payload, visit);
    case Op::kBind:
      return visit_step<Bind>(payload, visit);
    case Op::kPodShm:
      return visit_step<PodShm>(payload, visit);
    case Op::kMkdir:
      return visit_step<Mkdir>(payload, visit);
    case Op::kMknod:
      return visit_step<Mknod>(payload, visit);
    case Op::kSymlink:
      return visit_step<Symlink>(payload, visit);
    case Op::kConsole:
      return visit_step<Console>(payload, visit);
    case Op::kPivot:
      return visit_step<Pivot>(payload, visit);
    case Op::kMask:
      return visit_step<Mask>(payload, visit);
    case Op::kReadonlyPath:
      return visit_step<ReadonlyPath>(payload, visit);
    case Op::kSysctl:
      return visit_step<Sysctl>(payload, visit);
    case Op::kRlimit:
      return visit_step<Rlimit>(payload, visit);
    case Op::kOomScoreAdj:
      return visit_step<OomScoreAdj>(payload, visit);
    case Op::kUser:
      return visit_step<User>(payload, visit);
    case Op::kCapabilities:
      return visit_step<Capabilities>(payload, visit);
    case Op::kNoNewPrivs:
      return visit_step<NoNewPrivs>(payload, visit);
    case Op::kSeccomp:
      return visit_step<Seccomp>(payload, visit);
    case Op::kCwd:
      return visit_step<Cwd>(payload, visit);
    case Op::kUmask:
      return visit_step<Umask>(payload, visit);
    case Op::kExecve:
      return visit_step<Execve>(payload, visit);
    case Op::kImageMount:
      return visit_step<ImageMount>(payload, visit);
    case Op::kLsmProfile:
      return visit_step<LsmProfile>(payload, visit);
    case Op::kActAsPodRoot:
      return visit_step<ActAsPodRoot>(payload, visit);
    case Op::kJoinUserNamespace:
      return visit_step<JoinUserNamespace>(payload, visit);
  }
  return Error{EINVAL, "decode plan", "unknown step"};
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_DISPATCH_H_
