// What the steps of a launch take, by kind.
#ifndef CORACLE_NATIVE_LAUNCH_STEP_CLOCK_H_
#define CORACLE_NATIVE_LAUNCH_STEP_CLOCK_H_

#include "native/launch/launch.h"
#include "native/sys/clock.h"

namespace coracle {

// Adds up the times of a child's steps in its report. Steps of a kind follow each other, and the
// clock is read only between kinds: a handful of times a launch, without a system call where the
// kernel offers vdso(7). After a Seccomp step it is not read any more, lest it be one.
class StepClock {
 public:
  void begin(Report& report) { report.begun_at = last_ = now(); }
  void enter(Op op, Report& report);
  // Every step is done.
  void end(Report& report);

 private:
  enum class Kind : uint8_t { kProcess, kCgroup, kMounts };
  static Kind kind_of(Op op);
  static uint64_t now() { return sys::read_clock(CLOCK_MONOTONIC); }

  uint64_t last_ = 0;  // when the present kind began
  Kind kind_ = Kind::kProcess;
  bool stopped_ = false;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_STEP_CLOCK_H_
