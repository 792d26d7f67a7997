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

constexpr int kNoStdio[3] = {-1, -1, -1};

// The child has failpoints of its own from the clone on, with the hits so far.
struct Armed {
  explicit Armed(const char* spec) { sys::arm_failpoints(spec); }
  ~Armed() { sys::arm_failpoints(nullptr); }
};

bool is_user(const PodContext& context, pid_t pid, const char* uid) {
  const std::string path = std::to_string(pid) + "/status";
  const Fd file(openat(context.proc_fd, path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = read(file.get(), text, sizeof(text));
  const std::string status(text, size > 0 ? static_cast<size_t>(size) : 0);
  return status.find(std::string("\nUid:\t") + uid + "\t") != std::string::npos;
}

}  // namespace

LAUNCH_CASE("a child that cannot close what it inherits runs no program") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"sh", "-c", "echo ran"});
          Armed armed("close_range=EPERM");
          return summary(run_plan(context, plan));
        }) == "error close descriptors: Operation not permitted\n");
}

LAUNCH_CASE("a program that starts at once does not start without its monitor") {
  CHECK(in_monitor([](const PodContext& context) -> std::string {
          int line[2];
          if (pipe2(line, O_CLOEXEC) != 0) return "no pipe";
          // A monitor that dies while its child changes its identity, which takes the parent death
          // signal back.
          const pid_t monitor = fork();
          if (monitor == 0) {
            PlanBuilder plan = container();
            plan.plan().flags = kStartAtOnce;
            plan.add(Pivot{}).user("app").execve({"sh", "-c", "echo ran"});
            const int stdio[3] = {-1, line[1], -1};
            Launched launched;
            Armed armed("capget=delay(500)");
            if (!launch(context, plan.get(), nullptr, 0, -1, stdio, &launched).ok()) _exit(1);
            pollfd dead{launched.pidfd, POLLIN, 0};
            while (!is_user(context, launched.pid, "1000")) {
              if (poll(&dead, 1, 1) != 0) _exit(2);
            }
            _exit(0);
          }
          close(line[1]);
          int status = -1;
          waitpid(monitor, &status, 0);
          // To the end, which comes when no process holds the pipe any more.
          std::string text = std::to_string(status) + " ";
          for (char byte; read(line[0], &byte, 1) == 1;) text += byte;
          return text;
        }) == "0 ");
}

LAUNCH_CASE("a PID namespace that could not be left is left before the next launch") {
  CHECK(in_monitor([](const PodContext& context) -> std::string {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"sleep", "100"});
          Launched parent;
          Report report;
          if (!launch(context, plan.get(), nullptr, 0, -1, kNoStdio, &parent).ok() ||
              !next_report(&parent, &report)) {
            return "no parent";
          }
          PlanBuilder exec;
          exec.plan().flags = kExec;
          exec.plan().clone_flags = 0;
          exec.plan().parent = str("test");
          exec.add(JoinNamespaces{sys::kCloneNewNs}).execve({"sleep", "100"});
          std::string text;
          {
            Armed armed("setns=ENOMEM@2x2");
            text = run_plan(context, exec, {}, parent.pidfd).error;
            // Not yet.
            text += "\n" + run_plan(context, plan).error;
          }
          sys::pidfd_send_signal(parent.pidfd, SIGKILL);
          finish(&parent);
          // In the namespace whose first process is gone nothing could be cloned.
          PlanBuilder next = container();
          next.add(Pivot{}).execve({"sh", "-c", "echo $$"});
          return text + "\n" + summary(run_plan(context, next));
        }) ==
        "return to own PID namespace: Cannot allocate memory\n"
        "return to own PID namespace: Cannot allocate memory\n"
        "1\nexit 0");
}

LAUNCH_CASE("a terminal for which the monitor has no descriptor left fails the launch") {
  CHECK(in_monitor([](const PodContext& context) -> std::string {
          PlanBuilder plan = container();
          plan.plan().flags = kTerminal;
          plan.add(Console{24, 80, 0}).add(Pivot{}).execve({"sleep", "100"});
          Launched launched;
          if (!launch(context, plan.get(), nullptr, 0, -1, kNoStdio, &launched).ok()) {
            return "no launch";
          }
          rlimit before;
          getrlimit(RLIMIT_NOFILE, &before);
          const int first_free = fcntl(0, F_DUPFD_CLOEXEC, 0);
          close(first_free);
          const rlimit full = {static_cast<rlim_t>(first_free), before.rlim_max};
          setrlimit(RLIMIT_NOFILE, &full);
          Report report;
          const bool told = next_report(&launched, &report) && report.kind == ReportKind::kError;
          setrlimit(RLIMIT_NOFILE, &before);
          std::string text = told ? report.step : "nothing";
          text += std::string(": ") + strerror(report.code);
          sys::pidfd_send_signal(launched.pidfd, SIGKILL);
          return text + " " + std::to_string(finish(&launched));
        }) == "receive terminal: Too many open files 137");
}

LAUNCH_CASE("no user is taken on whose groups cannot be read") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).user("1000").execve({"id"});
          std::string text;
          // Of the user, and of its groups.
          for (const char* spec : {"user.database=EIO", "user.database=EIO@2"}) {
            Armed armed(spec);
            text += summary(run_plan(context, plan));
          }
          return text;
        }) ==
        "error open /etc/passwd: Input/output error\n"
        "error open /etc/group: Input/output error\n");
}

LAUNCH_CASE("a directory is made with the set-id bits of its mode, whoever owns it") {
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Mkdir{str("/own"), 02775, 0, 0})
              .add(Mkdir{str("/given"), 03770, 1000, 100})
              .add(Mkdir{str("/plain"), 01777, 1000, 100})
              .add(Pivot{})
              .execve({"stat", "-c", "%a %u %g", "/own", "/given", "/plain"});
          return summary(run_plan(context, plan));
        }) == "2775 0 0\n3770 1000 100\n1777 1000 100\nexit 0");
}
