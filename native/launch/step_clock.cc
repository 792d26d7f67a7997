#include "native/launch/step_clock.h"

namespace coracle {

StepClock::Kind StepClock::kind_of(Op op) {
  switch (op) {
    case Op::kJoinCgroup:
      return Kind::kCgroup;
    case Op::kOverlay:
    case Op::kRootBind:
    case Op::kMount:
    case Op::kBind:
    case Op::kImageMount:
    case Op::kPodShm:
    case Op::kMkdir:
    case Op::kMknod:
    case Op::kSymlink:
    case Op::kConsole:
    case Op::kPivot:
    case Op::kMask:
    case Op::kReadonlyPath:
      return Kind::kMounts;
    default:
      return Kind::kProcess;
  }
}

void StepClock::enter(Op op, Report& report) {
  if (stopped_) return;
  const Kind kind = kind_of(op);
  if (kind != kind_) {
    const uint64_t time = now();
    if (kind_ == Kind::kCgroup) report.cgroup_ns += time - last_;
    if (kind_ == Kind::kMounts) report.mounts_ns += time - last_;
    last_ = time;
    kind_ = kind;
  }
  if (op == Op::kSeccomp) end(report);
}

void StepClock::end(Report& report) {
  if (stopped_) return;
  report.prepared_at = now();
  stopped_ = true;
}

}  // namespace coracle
