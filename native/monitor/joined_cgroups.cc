#include "native/monitor/joined_cgroups.h"

#include "native/launch/decode.h"
#include "native/monitor/hash.h"
#include "native/plan/steps.h"

namespace coracle {
namespace {

struct Joins {
  FdIndex fds[JoinedCgroups::kMost];
  size_t count = 0;
  uint32_t paths = kHashOfNothing;
};

Joins joins_of(const LaunchPlan& plan) {
  Joins joins;
  // A list that is cut short is found by the launch.
  (void)for_each_step(plan, [&](uint32_t, Op op, Bytes payload) {
    JoinCgroup step;
    if (op != Op::kJoinCgroup || !decode(payload, step)) return Error{};
    if (joins.count < JoinedCgroups::kMost) joins.fds[joins.count] = step.fd;
    ++joins.count;
    joins.paths = hash_on(joins.paths, step.path.data, step.path.size + 1);
    return Error{};
  });
  return joins;
}

}  // namespace

void JoinedCgroups::keep(const LaunchPlan& plan, FdList& fds) {
  const Joins joins = joins_of(plan);
  if (joins.count > kMost) return;
  count_ = static_cast<uint8_t>(joins.count);
  paths_ = joins.paths;
  for (size_t place = 0; place < joins.count; ++place) {
    files_[place] = fds.take(joins.fds[place]);
  }
}

void JoinedCgroups::close() {
  for (size_t place = 0; place < count_; ++place) files_[place].reset();
  count_ = 0;
}

bool JoinedCgroups::are_those_of(const LaunchPlan& plan) const {
  const Joins joins = joins_of(plan);
  return joins.count == count_ && (count_ == 0 || joins.paths == paths_);
}

size_t JoinedCgroups::copy_to(int* out) const {
  for (size_t place = 0; place < count_; ++place) out[place] = files_[place].get();
  return count_;
}

}  // namespace coracle
