// A monitor in miniature for the launch tests: a forked process in a mount namespace of its own,
// with the runtime's directory at /data and nothing else of the host.
#ifndef CORACLE_TEST_NATIVE_POD_FIXTURE_H_
#define CORACLE_TEST_NATIVE_POD_FIXTURE_H_

#include <functional>
#include <string>

#include "native/launch/launch.h"
#include "test/native/plan_fixture.h"

namespace coracle::test {

// True where the tests may make namespaces and have a static busybox to run.
bool can_launch();

// Runs `body` in a forked miniature monitor and returns what it returned, or "died: …". The data
// directory has lower/ (busybox, /etc/passwd, /etc/group), upper/ and work/, all fresh.
std::string in_monitor(const std::function<std::string(const PodContext&)>& body);

// How a launch went. `text` is what the process wrote to stdout and stderr.
struct Run {
  std::string text;
  std::string error;  // "step path: strerror" of launch() or of a report
  Report report;
  bool ready = false, executed = false;
  int status = -1;  // exit code, or 128 + signal
};

// Launches, wakes, and waits for the end.
Run run_plan(const PodContext& context, PlanBuilder& plan, std::vector<int> fds = {},
             int parent_pidfd = -1);

// The whole of what a case sees of one launch, as text that survives the fork.
std::string summary(const Run& run);

// Waits for the next record; false at the end of the line.
bool next_report(Launched* launched, Report* report);
// Reaps and closes everything of a launch; exit code, or 128 + signal.
int finish(Launched* launched);

// Overlay root, /proc, /dev with null and pts, pivot.
PlanBuilder container();

size_t open_descriptors(const PodContext& context);

}  // namespace coracle::test

// A test case that launches processes; passed over where that is not possible.
#define LAUNCH_CASE(name) TEST_CASE(name* doctest::skip(!coracle::test::can_launch()))

#endif  // CORACLE_TEST_NATIVE_POD_FIXTURE_H_
