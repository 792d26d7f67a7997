// Needs root. Ending and signalling whole cgroups, of the version found here.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "test/native/monitor_client.h"

using namespace coracle;
using namespace coracle::test;

namespace {

const auto kUnprivileged = doctest::skip(geteuid() != 0);

// A cgroup of the v1 pids hierarchy or, where that is missing, of the unified one.
struct Cgroup {
  explicit Cgroup(bool v2) {
    const std::string unified = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0
                                    ? "/sys/fs/cgroup"
                                    : "/sys/fs/cgroup/unified";
    path = (v2 ? unified : "/sys/fs/cgroup/pids") + "/coracle-test-" + std::to_string(getpid());
    usable = mkdir(path.c_str(), 0755) == 0;
    join = path + (v2 ? "/cgroup.procs" : "/tasks");
    kill_fd = v2 ? open((path + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)
                 : open((path + "/cgroup.procs").c_str(), O_RDONLY | O_CLOEXEC);
    usable = usable && kill_fd >= 0;
  }
  ~Cgroup() {
    if (kill_fd >= 0) close(kill_fd);
    wait_until([&] { return rmdir(path.c_str()) == 0 || errno == ENOENT; });
  }
  bool empty() const {
    const int fd = open((path + "/cgroup.procs").c_str(), O_RDONLY | O_CLOEXEC);
    char text[64];
    const ssize_t size = read(fd, text, sizeof(text));
    close(fd);
    return size == 0;
  }
  std::string path, join;
  int kill_fd = -1;
  bool usable = false;
};

void end_cgroup_with_init(bool v2) {
  Cgroup cgroup(v2);
  if (!cgroup.usable) {
    MESSAGE("no cgroup of this version here");
    return;
  }
  TestPod pod(kSharedPid);
  // Init leaves 100 children behind, in a PID namespace that goes on.
  pod.run({.id = "c",
           .argv = {"sh", "-c",
                    "i=0; while [ $i -lt 100 ]; do busybox sleep 1000 & i=$((i+1)); done; exit 9"},
           .flags = kKillCgroupOnExit,
           .pid_mode = PidMode::kPod,
           .kill_cgroup = cgroup.kill_fd,
           .v1_tasks = cgroup.join});
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "c");
  CHECK(seen.status.wait_status == 9 << 8);
  CHECK(wait_until([&] { return cgroup.empty(); }));
}

}  // namespace

TEST_CASE("what init leaves in its cgroup v1 is ended with it" * kUnprivileged) {
  end_cgroup_with_init(false);
}

TEST_CASE("what init leaves in its cgroup v2 is ended with it" * kUnprivileged) {
  end_cgroup_with_init(true);
}

TEST_CASE("a signal to all reaches every process of a v1 cgroup" * kUnprivileged) {
  Cgroup cgroup(false);
  if (!cgroup.usable) return;
  TestPod pod;
  const int log = pod.open_log("log");
  pod.run(
      {.id = "c",
       .argv = {"sh", "-c",
                "i=0; while [ $i -lt 70 ]; do "
                "sh -c 'trap \"echo caught; exit\" USR1; while :; do busybox sleep 0.05; done' & "
                "i=$((i+1)); done; trap : USR1; echo ready; wait; wait; wait; wait; "
                "while :; do wait; busybox sleep 0.1; done"},
       .log = LogMode::kCri,
       .log_fd = log,
       .kill_cgroup = cgroup.kill_fd,
       .v1_tasks = cgroup.join});
  CHECK(wait_until([&] { return pod.read("log").find("ready") != std::string::npos; }));
  usleep(500000);
  CHECK(pod.client->signal("c", SIGUSR1, true).ok());
  const auto caught = [&] {
    const std::string text = pod.read("log");
    int count = 0;
    for (size_t at = 0; (at = text.find("caught", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  CHECK(wait_until([&] { return caught() == 70; }));
  CHECK(pod.client->signal("c", SIGKILL, true).ok());
  CHECK(pod.client->next_exit().status.wait_status == SIGKILL);
  close(log);
}
