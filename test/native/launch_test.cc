// Launches real processes. Each case runs in a miniature monitor of its own.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/plan/protocol.h"
#include "native/sys/fd.h"
#include "test/native/pod_fixture.h"

using namespace coracle;
using namespace coracle::test;

namespace {

std::string in_container(const std::function<void(PlanBuilder&)>& steps,
                         const std::vector<std::string>& argv,
                         const std::vector<std::string>& env = {"PATH=/bin"}) {
  return in_monitor([&](const PodContext& context) {
    PlanBuilder plan = container();
    plan.add(Pivot{});
    steps(plan);
    plan.execve(argv, env);
    return summary(run_plan(context, plan));
  });
}
std::string shell(const char* script, const std::function<void(PlanBuilder&)>& steps) {
  return in_container(steps, {"sh", "-c", script});
}
void nothing(PlanBuilder&) {}

}  // namespace

LAUNCH_CASE("a container is process 1 of its own namespaces and sees its own root") {
  CHECK(shell("echo $$; exit 7", nothing) == "1\nexit 7");
  CHECK(shell("ls /", nothing) == "bin\ndev\netc\nproc\nexit 0");
  CHECK(shell("pwd; umask", nothing) == "/\n0022\nexit 0");
  char host[128] = {}, uts[128];
  REQUIRE(readlink("/proc/self/ns/uts", host, sizeof(host) - 1) > 0);
  CHECK(shell("readlink /proc/self/ns/uts", nothing).find(host) == std::string::npos);
  REQUIRE(readlink("/proc/self/ns/net", uts, sizeof(uts)) > 0);
  CHECK(shell("hostname", [](PlanBuilder& plan) { plan.add(Hostname{str("boat")}); }) ==
        "boat\nexit 0");
}

LAUNCH_CASE("no mount and no descriptor of the monitor is left") {
  std::string mounts = shell("cat /proc/mounts", nothing);
  CHECK(mounts.find("/data") == std::string::npos);
  CHECK(mounts.find("coracle-launch") == std::string::npos);
  // 3 is ls's own.
  CHECK(shell("ls /proc/self/fd", nothing) == "0\n1\n2\n3\nexit 0");
}

LAUNCH_CASE("a launch leaks no descriptor, whether it works or fails") {
  CHECK(in_monitor([](const PodContext& context) {
          size_t before = open_descriptors(context);
          for (const char* program : {"/bin/sh", "/no/such"}) {
            PlanBuilder plan = container();
            plan.add(Pivot{}).execve({program, "-c", "true"});
            run_plan(context, plan);
          }
          PlanBuilder broken = container();
          broken.execve({"/bin/sh"});
          run_plan(context, broken);
          return std::to_string(static_cast<long>(open_descriptors(context) - before));
        }) == "0");
}

LAUNCH_CASE("failing steps say what, on what, and why") {
  auto fails = [](const std::function<void(PlanBuilder&)>& steps) {
    return in_container(steps, {"/bin/sh"});
  };
  CHECK(in_container(nothing, {"/no/such"}) == "error exec /no/such: No such file or directory\n");
  CHECK(in_container(nothing, {"nosuch"}) == "error exec nosuch: No such file or directory\n");
  CHECK(in_container(nothing, {"/etc/passwd"}) == "error exec /etc/passwd: Permission denied\n");
  CHECK(fails([](PlanBuilder& p) { p.user("nosuch"); }) ==
        "error find user nosuch: No such file or directory\n");
  CHECK(fails([](PlanBuilder& p) { p.user("app", "nogroup"); }) ==
        "error find group nogroup: No such file or directory\n");
  CHECK(fails([](PlanBuilder& p) {
          p.add(Cwd{str("/nowhere"), 0});
        }) == "error chdir /nowhere: No such file or directory\n");
  CHECK(fails([](PlanBuilder& p) {
          p.add(Sysctl{str("kernel.nosuch"), str("1")});
        }) == "error set sysctl kernel.nosuch: No such file or directory\n");
  CHECK(fails([](PlanBuilder& p) {
          p.add(Mount{str("nosuchfs"), str(""), str("/mnt"), 0, str("")});
        }) == "error mount /mnt: No such device\n");
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan;
          plan.overlay({"nolayer"}, "upper", "work").add(Pivot{}).execve({"/bin/sh"});
          Run outcome = run_plan(context, plan);
          return outcome.error + " " + std::to_string(outcome.report.step_index);
        }) == "mount overlay nolayer: No such file or directory 0");
}

LAUNCH_CASE("identity: names, numbers, groups and HOME") {
  auto id = [](const char* user, const char* group, std::vector<uint32_t> extra) {
    return shell("id -u; id -g; grep Groups /proc/self/status; echo $HOME",
                 [&](PlanBuilder& plan) { plan.user(user, group, extra); });
  };
  CHECK(id("app", "", {}) == "1000\n100\nGroups:\t100 200 \n/home/app\nexit 0");
  CHECK(id("1000", "", {7, 7}) == "1000\n100\nGroups:\t7 100 200 \n/home/app\nexit 0");
  CHECK(id("app", "extra", {}) == "1000\n200\nGroups:\t200 \n/home/app\nexit 0");
  CHECK(id("4242", "", {}) == "4242\n0\nGroups:\t0 \n/\nexit 0");
  CHECK(id("", "", {}) == "0\n0\nGroups:\t0 \n/root\nexit 0");
  CHECK(in_container([](PlanBuilder& plan) { plan.user("app"); }, {"sh", "-c", "echo $HOME"},
                     {"HOME=/mine", "PATH=/bin"}) == "/mine\nexit 0");
}

LAUNCH_CASE("the ids taken are reported") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).user("app", "", {9}).execve({"/bin/sh", "-c", "true"});
          Report report = run_plan(context, plan).report;
          std::string text = std::to_string(report.uid) + ":" + std::to_string(report.gid);
          for (int i = 0; i < report.group_count; ++i)
            text += " " + std::to_string(report.groups[i]);
          return text;
        }) == "1000:100 100 200 9");
}

LAUNCH_CASE("capabilities are exactly those of the plan") {
  auto caps = [](const char* user, const Capabilities& step) {
    return shell("grep Cap /proc/self/status",
                 [&](PlanBuilder& plan) { plan.user(user).add(step).add(NoNewPrivs{}); });
  };
  Capabilities three;
  three.bounding = three.effective = three.permitted = 0xe0;  // SETGID, SETUID, SETPCAP... 5–7
  std::string root = caps("0", three);
  CHECK(root.find("CapPrm:\t00000000000000e0") != std::string::npos);
  CHECK(root.find("CapEff:\t00000000000000e0") != std::string::npos);
  CHECK(root.find("CapBnd:\t00000000000000e0") != std::string::npos);
  CHECK(root.find("CapAmb:\t0000000000000000") != std::string::npos);
  std::string none = caps("app", three);
  CHECK(none.find("CapPrm:\t0000000000000000") != std::string::npos);
  CHECK(none.find("CapBnd:\t00000000000000e0") != std::string::npos);
  three.inheritable = three.ambient = 0x20;
  std::string ambient = caps("app", three);
  CHECK(ambient.find("CapEff:\t0000000000000020") != std::string::npos);
  CHECK(ambient.find("CapAmb:\t0000000000000020") != std::string::npos);
  Capabilities all;
  all.bounding = all.effective = all.permitted = ~uint64_t{0};
  CHECK(caps("0", all).find("exit 0") != std::string::npos);
}

LAUNCH_CASE("masked files and directories are empty, and missing ones no error") {
  CHECK(shell("cat /proc/version /proc/uptime; ls /proc/sys /proc/fs; stat -c %t:%T /proc/uptime;"
              "echo x 2>/dev/null > /proc/fs/x || echo refused",
              [](PlanBuilder& plan) {
                for (const char* path : {"/proc/version", "/proc/uptime", "/proc/sys", "/proc/fs",
                                         "/proc/no/such", "/etc/passwd/x"}) {
                  plan.add(Mask{str(path)});
                }
              }) == "/proc/fs:\n\n/proc/sys:\n1:3\nrefused\nexit 0");
}

LAUNCH_CASE("a null device that is none masks nothing") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan;
          plan.overlay({"lower"}, "upper", "work")
              .add(Mount{str("proc"), str("proc"), str("/proc"), 14, str("")})
              .add(Mknod{str("/dev/null"), S_IFCHR | 0666, 1, 5, 0, 0})
              .add(Pivot{})
              .add(Mask{str("/proc/version")})
              .execve({"/bin/sh"});
          return run_plan(context, plan).error;
        }) == "mask /proc/version: No such device");
}

LAUNCH_CASE("read-only paths and a read-only root refuse writes") {
  CHECK(shell("echo 1 2>&1 > /proc/sys/kernel/domainname || echo refused", [](PlanBuilder& plan) {
          plan.add(ReadonlyPath{str("/proc/sys")});
        }).find("refused") != std::string::npos);
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{1}).add(Cwd{str("/work/dir"), 1});
          plan.execve(
              {"sh", "-c", "pwd; echo x 2>/dev/null > /file || echo refused; echo y > /dev/z"});
          return summary(run_plan(context, plan));
        }) == "/work/dir\nrefused\nexit 0");
}

LAUNCH_CASE("binds carry attributes, and their targets stay inside the root") {
  CHECK(in_monitor([](const PodContext& context) {
          Fd tree(
              sys::open_tree(AT_FDCWD, "/data/lower/etc", sys::kOpenTreeClone | sys::kAtRecursive));
          Bind bind;
          bind.fd = 0;
          bind.target = str("/escape/deep");
          bind.attributes_set = sys::kMountAttrReadonly;
          bind.propagation = MS_PRIVATE;
          PlanBuilder plan = container();
          plan.add(Symlink{str("../../../../data"), str("/escape")}).add(bind).add(Pivot{});
          plan.execve(
              {"sh", "-c", "ls /data/deep; echo x 2>/dev/null > /data/deep/x || echo refused"});
          Run outcome = run_plan(context, plan, {tree.get()});
          return summary(outcome) + (access("/data/deep", F_OK) == 0 ? " escaped" : "");
        }) == "group\npasswd\nrefused\nexit 0");
}

LAUNCH_CASE("the pod's /dev/shm is shared") {
  CHECK(in_monitor([](const PodContext& context) {
          std::string text;
          for (const char* script : {"echo hi > /dev/shm/x", "cat /dev/shm/x"}) {
            PlanBuilder plan = container();
            plan.add(PodShm{str("/dev/shm")}).add(Pivot{}).execve({"sh", "-c", script});
            text += summary(run_plan(context, plan));
          }
          return text;
        }) == "exit 0hi\nexit 0");
}

LAUNCH_CASE("a terminal is stdio, controlling, bound to /dev/console, and of the asked size") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.plan().flags = kTerminal;
          plan.add(Mknod{str("/dev/tty"), S_IFCHR | 0666, 5, 0, 0, 0});
          plan.add(Console{33, 99, 1}).add(Pivot{}).user("app");
          plan.execve({"sh", "-c",
                       "tty; busybox stty size; echo on > /dev/console; echo here > /dev/tty;"
                       "stat -c %u /dev/pts/0; busybox ls /proc/self/fd"});
          return summary(run_plan(context, plan));
        }) == "/dev/pts/0\r\n33 99\r\non\r\nhere\r\n1000\r\n0  1  2  3\r\nexit 0");
}

LAUNCH_CASE("limits and oom_score_adj are set, or clamped with a warning") {
  CHECK(in_monitor([](const PodContext& context) {
          rlimit files;
          getrlimit(RLIMIT_NOFILE, &files);
          PlanBuilder plan = container();
          plan.add(Pivot{})
              .add(Rlimit{RLIMIT_NOFILE, 100, 200, 1})
              .add(Rlimit{RLIMIT_CORE, 0, 0, 0})
              .add(OomScoreAdj{500})
              .add(Umask{077});
          plan.execve({"sh", "-c", "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; umask"});
          Run fine = run_plan(context, plan);
          PlanBuilder high = container();
          high.add(Pivot{}).add(Rlimit{RLIMIT_NOFILE, RLIM_INFINITY, RLIM_INFINITY, 1});
          high.execve({"/bin/sh", "-c", "true"});
          Run clamped = run_plan(context, high);
          return summary(fine) + " " + std::to_string(fine.report.warnings) + " " +
                 std::to_string(clamped.report.warnings & kRlimitClamped) + clamped.error;
        }) == "100\n200\n500\n0077\nexit 0 0 2");
}

LAUNCH_CASE("a parked process has not run, ends with its wake line, and can be started at once") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"sh", "-c", "exit 5"});
          int stdio[3] = {-1, -1, -1};
          Launched parked;
          if (!launch(context, plan.get(), nullptr, 0, -1, stdio, &parked).ok())
            return std::string("no");
          Report report;
          std::string text = next_report(&parked, &report) ? "ready " : "";
          char link[64] = {}, path[64];
          snprintf(path, sizeof(path), "%d/fd/0", parked.pid);
          (void)!readlinkat(context.proc_fd, path, link, sizeof(link) - 1);
          text += link;
          close(parked.wake_fd);
          parked.wake_fd = -1;
          text += " exit " + std::to_string(finish(&parked));
          plan = container();
          plan.plan().flags = kStartAtOnce;
          plan.add(Pivot{}).execve({"sh", "-c", "exit 6"});
          return text + " " + summary(run_plan(context, plan));
        }) == "ready /dev/null exit 0 exit 6");
}

LAUNCH_CASE("a parked process does not outlive its monitor, nor hold another one's lines") {
  int line[2];
  REQUIRE(pipe2(line, O_CLOEXEC) == 0);
  in_monitor([&](const PodContext& context) {
    Launched first, second;
    int stdio[3] = {-1, line[1], -1};
    for (Launched* launched : {&first, &second}) {
      PlanBuilder plan = container();
      plan.add(Pivot{}).execve({"sh", "-c", "echo ran"});
      Report report;
      if (launch(context, plan.get(), nullptr, 0, -1, stdio, launched).ok()) {
        next_report(launched, &report);
      }
    }
    return std::string();
  });
  close(line[1]);
  char byte;
  // The end comes only when no process holds the pipe any more.
  CHECK(read(line[0], &byte, 1) == 0);
  close(line[0]);
}

LAUNCH_CASE("an exec joins a running container and its PID namespace") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"sleep", "100"});
          int stdio[3] = {-1, -1, -1};
          Launched parent;
          Report report;
          if (!launch(context, plan.get(), nullptr, 0, -1, stdio, &parent).ok() ||
              !next_report(&parent, &report)) {
            return std::string("no parent");
          }
          (void)!write(parent.wake_fd, "g", 1);
          next_report(&parent, &report);
          PlanBuilder exec;
          exec.plan().flags = kExec;
          exec.plan().clone_flags = 0;
          exec.plan().parent = str("test");
          exec.add(JoinNamespaces{sys::kCloneNewNs | sys::kCloneNewUts | sys::kCloneNewIpc});
          exec.user("app").add(Cwd{str("/etc"), 0});
          exec.execve({"sh", "-c",
                       "[ $$ -gt 1 ] && cat /proc/1/comm; pwd; id -u; cat passwd | busybox wc -l"});
          std::string text = summary(run_plan(context, exec, {}, parent.pidfd));
          // The next plain launch is a process 1 again: the monitor has left the namespace.
          PlanBuilder next = container();
          next.add(Pivot{}).execve({"sh", "-c", "echo $$"});
          text += " " + summary(run_plan(context, next));
          sys::pidfd_send_signal(parent.pidfd, SIGKILL);
          siginfo_t info;
          waitid(P_PIDFD, static_cast<id_t>(parent.pidfd), &info, WEXITED | WNOWAIT);
          text += " " + run_plan(context, exec, {}, parent.pidfd).error;
          text += " " + std::to_string(finish(&parent));
          return text;
        }) ==
        "sleep\n/etc\n1000\n2\nexit 0 1\nexit 0 join PID namespace test: No such process 137");
}

LAUNCH_CASE("a program starts with default signals and an empty mask") {
  // Not through a shell: it would set signals of its own.
  std::string text = in_container(nothing, {"grep", "Sig", "/proc/self/status"});
  CHECK(text.find("SigBlk:\t0000000000000000") != std::string::npos);
  CHECK(text.find("SigIgn:\t0000000000000000") != std::string::npos);
}

LAUNCH_CASE("a working directory outside the root is refused") {
  // Magic links lead wherever a descriptor points, root or not.
  CHECK(shell("true", [](PlanBuilder& plan) {
          plan.add(Cwd{str("/proc/self/cwd"), 0});
        }) == "error chdir /proc/self/cwd: Too many levels of symbolic links\n");
}

LAUNCH_CASE("a seccomp filter is in force in the program") {
  // ld [0]; jeq #mkdir, 0, 1; ret ERRNO|EPERM; ret ALLOW
  struct {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
  } filter[] = {
      {0x20, 0, 0, 0}, {0x15, 0, 1, 83}, {0x06, 0, 0, 0x00050001}, {0x06, 0, 0, 0x7fff0000}};
  static_assert(sizeof(filter) == 32);
#if defined(__x86_64__)
  CHECK(
      shell("busybox mkdir /x 2>/dev/null || echo refused; grep Seccomp: /proc/self/status",
            [&](PlanBuilder& plan) {
              plan.add(NoNewPrivs{})
                  .add(Seccomp{Bytes{reinterpret_cast<const uint8_t*>(filter), sizeof(filter)}, 0});
            }) == "refused\nSeccomp:\t2\nexit 0");
  // ld [0]; jeq #close_range, 0, 1; ret KILL_PROCESS; ret ALLOW
  filter[1].k = 436;
  filter[2].k = 0x80000000;
  CHECK(shell("echo runs", [&](PlanBuilder& plan) {
          plan.add(NoNewPrivs{})
              .add(Seccomp{Bytes{reinterpret_cast<const uint8_t*>(filter), sizeof(filter)}, 0});
        }) == "runs\nexit 0");
#endif
}
