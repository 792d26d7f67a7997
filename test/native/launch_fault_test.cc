// Launches in which the kernel refuses, or a process dies, at the worst of times.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/sys/failpoint.h"
#include "native/sys/fd.h"
#include "test/native/pod_fixture.h"

using namespace coracle;
using namespace coracle::test;

namespace {

// The child has failpoints of its own from the clone on, with the hits so far.
struct Armed {
  explicit Armed(const char* spec) { sys::arm_failpoints(spec); }
  ~Armed() { sys::arm_failpoints(nullptr); }
};

}  // namespace

LAUNCH_CASE("a child that cannot close what it inherits runs no program") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"sh", "-c", "echo ran"});
          Armed armed("close_range=EPERM");
          return summary(run_plan(context, plan));
        }) == "error close descriptors: Operation not permitted\n");
}
