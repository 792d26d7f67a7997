// Where a launched process finds itself: roots of every kind, PID namespaces, cgroups.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/sys/fd.h"
#include "test/native/pod_fixture.h"

using namespace coracle;
using namespace coracle::test;

LAUNCH_CASE("layer paths may hold the characters that overlay options give a meaning") {
  CHECK(in_monitor([](const PodContext& context) {
          for (const char* name : {"/data/a:b,c\\d", "/data/u:p,p\\r", "/data/w:o,r\\k"})
            mkdir(name, 0755);
          close(open("/data/a:b,c\\d/marker", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
          PlanBuilder plan;
          plan.overlay({"a:b,c\\d", "lower"}, "u:p,p\\r", "w:o,r\\k", "volatile").add(Pivot{});
          plan.execve({"sh", "-c", "ls /; echo > /new"});
          std::string text = summary(run_plan(context, plan));
          return text + (access("/data/u:p,p\\r/new", F_OK) == 0 ? " written" : "");
        }) == "bin\netc\nmarker\nproc\nexit 0 written");
}

LAUNCH_CASE("a root without an upper directory is read-only, of one layer or more") {
  CHECK(in_monitor([](const PodContext& context) {
          mkdir("/data/top", 0755);
          std::string text;
          for (const std::vector<std::string>& lower :
               {std::vector<std::string>{"lower"}, {"top", "lower"}}) {
            PlanBuilder plan;
            plan.overlay(lower, "", "").add(Pivot{});
            plan.execve({"sh", "-c", "ls /bin/sh; (echo x > /x) 2>&- || echo refused"});
            text += summary(run_plan(context, plan)) + " ";
          }
          return text;
        }) == "/bin/sh\nrefused\nexit 0 /bin/sh\nrefused\nexit 0 ");
}

LAUNCH_CASE("a directory of the host can be the root") {
  CHECK(in_monitor([](const PodContext& context) {
          Fd tree(sys::open_tree(AT_FDCWD, "/data/lower", sys::kOpenTreeClone | sys::kAtRecursive));
          PlanBuilder plan;
          plan.add(RootBind{0, str("/data/lower")}).add(Pivot{}).execve({"ls", "/"});
          return summary(run_plan(context, plan, {tree.get()}));
        }) == "bin\netc\nproc\nexit 0");
}

LAUNCH_CASE("the pod's PID namespace is shared, and the host's is visible where asked for") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"sleep", "100"});
          int stdio[3] = {-1, -1, -1};
          Launched first;
          Report report;
          // Two overlays that prepare one work directory at the same time disturb each other.
          if (!launch(context, plan.get(), nullptr, 0, -1, stdio, &first).ok() ||
              !next_report(&first, &report) || report.kind != ReportKind::kReady) {
            return std::string("no first");
          }
          PodContext pod = context;
          char path[64];
          snprintf(path, sizeof(path), "%d/ns/pid", first.pid);
          Fd pidns(openat(context.proc_fd, path, O_RDONLY | O_CLOEXEC));
          pod.pod_pidns_fd = pidns.get();
          std::string text;
          for (PidMode mode : {PidMode::kPod, PidMode::kHost, PidMode::kTarget}) {
            PlanBuilder next = container();
            next.plan().pid_mode = mode;
            next.plan().parent = str("test");
            next.add(Pivot{}).execve({"sh", "-c", "[ $$ -lt 10 ] && echo near $$ || echo far"});
            text += summary(run_plan(pod, next, {}, first.pidfd)) + " ";
          }
          sys::pidfd_send_signal(first.pidfd, SIGKILL);
          finish(&first);
          return text;
        }) == "near 2\nexit 0 far\nexit 0 near 3\nexit 0 ");
}

LAUNCH_CASE("cgroups are joined before the cgroup namespace is made") {
  const std::string v1 = "/sys/fs/cgroup/pids/coracle-launch-test-" + std::to_string(getpid());
  if (mkdir(v1.c_str(), 0755) != 0) return;  // no cgroup v1 here
  {
    Fd tasks(open((v1 + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
    CHECK(in_monitor([&](const PodContext& context) {
            PlanBuilder plan;
            plan.add(JoinCgroup{0, str("pids")}).add(Unshare{sys::kCloneNewCgroup});
            plan.overlay({"lower"}, "upper", "work")
                .add(Mount{str("proc"), str("proc"), str("/proc"), 14, str("")})
                .add(Mount{str("cgroup"), str("cgroup"), str("/cg"), 0, str("pids")})
                .add(Pivot{})
                .execve({"sh", "-c",
                         "grep :pids: /proc/self/cgroup | busybox cut -d: -f3; cat /cg/tasks"});
            return summary(run_plan(context, plan, {tasks.get()}));
          }).find("/\n1\n") == 0);
  }
  CHECK(rmdir(v1.c_str()) == 0);
}

LAUNCH_CASE("a process can be cloned into a cgroup v2") {
  const char* mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
  for (const char* mount : mounts) {
    if (access((std::string(mount) + "/cgroup.controllers").c_str(), F_OK) != 0) continue;
    const std::string path =
        std::string(mount) + "/coracle-launch-test-" + std::to_string(getpid());
    REQUIRE(mkdir(path.c_str(), 0755) == 0);
    Fd directory(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    CHECK(in_monitor([&](const PodContext& context) {
            PlanBuilder plan = container();
            plan.plan().into_cgroup = 0;
            plan.add(Pivot{}).execve({"grep", "0::", "/proc/self/cgroup"});
            return summary(run_plan(context, plan, {directory.get()}));
          }).find("/coracle-launch-test-") != std::string::npos);
    CHECK(rmdir(path.c_str()) == 0);
    return;
  }
}
