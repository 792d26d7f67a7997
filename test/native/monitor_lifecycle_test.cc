// Needs root. Drives a real monitor through the lives of its processes.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "native/plan/exit_record.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"
#include "test/native/monitor_client.h"

using namespace coracle;
using namespace coracle::test;

namespace {

const auto kUnprivileged = doctest::skip(geteuid() != 0);

ExitRecord record_of(TestPod& pod, const std::string& id) {
  const std::string bytes = pod.read("exits/" + id);
  REQUIRE(bytes.size() == sizeof(ExitRecord));
  ExitRecord record;
  memcpy(&record, bytes.data(), sizeof(record));
  uint32_t sum = 0;
  for (size_t place = 0; place < 44; ++place) {
    sum += static_cast<uint8_t>(bytes[place]) * (static_cast<uint32_t>(place) + 1);
  }
  CHECK(record.checksum == sum);
  return record;
}

}  // namespace

TEST_CASE("a container runs, logs, exits: log, record and event agree" * kUnprivileged) {
  TestPod pod;
  const int log = pod.open_log("log");
  const Answer launched =
      pod.launch({.id = "c1",
                  .argv = {"sh", "-c", "echo out; echo err >&2; printf rest; exit 7"},
                  .log = LogMode::kCri,
                  .log_fd = log});
  REQUIRE(launched.ok());
  const uint32_t pid = launched.as<LaunchReply>().pid;
  CHECK(process_exists(pid));
  CHECK(pod.state().at(0).state == EntryState::kParked);
  CHECK(pod.read("log").empty());

  const Answer started = pod.client->named(MessageType::kStart, "c1");
  REQUIRE(started.ok());
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "c1");
  CHECK(seen.status.wait_status == 7 << 8);
  CHECK(seen.status.pid == pid);
  CHECK(seen.status.started_at == started.as<StartReply>().started_at);
  CHECK(seen.status.finished_at >= seen.status.started_at);

  const ExitRecord record = record_of(pod, "c1");
  CHECK(record.magic == ExitRecord{}.magic);
  CHECK(record.wait_status == 7 << 8);
  CHECK(record.pid == pid);
  CHECK(record.started_at == seen.status.started_at);
  CHECK(record.finished_at == seen.status.finished_at);

  const std::string text = pod.read("log");
  CHECK(text.find(" stdout F out\n") != std::string::npos);
  CHECK(text.find(" stderr F err\n") != std::string::npos);
  CHECK(text.find(" stdout P rest\n") != std::string::npos);
  CHECK(wait_until([&] { return !process_exists(pid); }));

  CHECK(pod.state().at(0).state == EntryState::kExited);
  CHECK(pod.client->named(MessageType::kStart, "c1").code == ESRCH);
  CHECK(pod.client->signal("c1", SIGTERM).code == ESRCH);
  CHECK(pod.client->named(MessageType::kDelete, "c1").ok());
  CHECK(pod.state().empty());
  CHECK(pod.read("exits/c1").empty());
  CHECK(pod.client->named(MessageType::kDelete, "c1").ok());
  close(log);
}

TEST_CASE("a connection that is lost changes nothing; the next one sees all" * kUnprivileged) {
  TestPod pod;
  pod.run({.id = "done", .argv = {"sh", "-c", "exit 3"}});
  CHECK(pod.client->next_exit().id == "done");
  pod.run({.id = "long", .argv = {"busybox", "sleep", "1000"}});
  delete pod.client;
  pod.client = new Client(pod.path("socket"));
  const HelloReply hello = pod.client->call(MessageType::kHello).as<HelloReply>();
  CHECK(hello.pid == static_cast<uint32_t>(pod.pid));
  CHECK(hello.has_sandbox == 1);
  const auto entries = pod.state();
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].state == EntryState::kExited);
  CHECK(entries[0].wait_status == 3 << 8);
  CHECK(entries[1].state == EntryState::kRunning);
  CHECK(pod.client->signal("long", SIGKILL).ok());
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "long");
  CHECK(seen.status.wait_status == SIGKILL);
}

TEST_CASE("what fails to launch or to start is told and forgotten" * kUnprivileged) {
  TestPod pod;
  REQUIRE(pod.launch({.id = "bad", .argv = {"/no/such"}}).ok());
  const Answer started = pod.client->named(MessageType::kStart, "bad");
  CHECK(started.code == ENOENT);
  CHECK(started.step == "exec");
  CHECK(started.path == "/no/such");
  CHECK(pod.state().empty());
  const Answer at_once = pod.launch({.id = "bad", .argv = {"/no/such"}, .flags = kStartAtOnce});
  CHECK(at_once.code == ENOENT);
  CHECK(pod.launch({.id = "ok", .argv = {"sh"}, .flags = kStartAtOnce}).ok());
  CHECK(pod.client->next_exit().id == "ok");
  CHECK(pod.launch({.id = "ok", .argv = {"sh"}}).code == EEXIST);
  CHECK(pod.launch({.id = "../x", .argv = {"sh"}}).code == EINVAL);
  CHECK(pod.client->named(MessageType::kStart, "none").code == ENOENT);
}

TEST_CASE("a process killed inside execve has not started" * kUnprivileged) {
  TestPod pod;
  REQUIRE(pod.launch({.id = "k", .argv = {"sh"}, .killed_by_execve = true}).ok());
  const Answer started = pod.client->named(MessageType::kStart, "k");
  CHECK(started.code == ECANCELED);
  CHECK(started.step == "killed by signal 31 during exec");
  const Answer at_once =
      pod.launch({.id = "k", .argv = {"sh"}, .flags = kStartAtOnce, .killed_by_execve = true});
  CHECK(at_once.code == ECANCELED);
  CHECK(pod.state().empty());
  CHECK(pod.client->next_exit(50).id.empty());
}

TEST_CASE("a parked process that is killed can't be started, nor does it leave a record" *
          kUnprivileged) {
  TestPod pod;
  const Answer launched = pod.launch({.id = "p", .argv = {"sh"}});
  kill(static_cast<pid_t>(launched.as<LaunchReply>().pid), SIGKILL);
  CHECK(pod.client->next_exit().status.started_at == 0);
  CHECK(pod.client->named(MessageType::kStart, "p").code == ESRCH);
  CHECK(pod.read("exits/p").empty());
  const Answer parked = pod.launch({.id = "q", .argv = {"sh"}});
  CHECK(pod.client->named(MessageType::kDelete, "q").ok());
  CHECK(!process_exists(parked.as<LaunchReply>().pid));
}

TEST_CASE("an exec needs its container to run" * kUnprivileged) {
  TestPod pod;
  CHECK(pod.launch({.id = "e", .argv = {"sh"}, .parent = "c", .flags = kExec}).code == ESRCH);
  pod.run({.id = "c", .argv = {"busybox", "sleep", "1000"}});
  REQUIRE(pod.launch({.id = "e1",
                      .argv = {"sh", "-c", "exit 5"},
                      .parent = "c",
                      .flags = kExec | kStartAtOnce})
              .ok());
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "e1");
  CHECK(seen.status.exec == 1);
  CHECK(seen.status.wait_status == 5 << 8);
  CHECK(pod.read("exits/e1").empty());
  REQUIRE(pod.launch({.id = "e2", .argv = {"sh"}, .parent = "c", .flags = kExec}).ok());
  REQUIRE(pod.client->signal("c", SIGKILL).ok());
  std::string order;
  for (int count = 0; count < 2; ++count) order += pod.client->next_exit().id + " ";
  CHECK(order == "e2 c ");  // an exec's end is seen before its container's
  const Answer late = pod.launch({.id = "e3", .argv = {"sh"}, .parent = "c", .flags = kExec});
  CHECK(late.code == ESRCH);
  CHECK(late.path == "c");
}

TEST_CASE("the reaper of a shared PID namespace shows nothing and reaps" * kUnprivileged) {
  TestPod pod(kSharedPid);
  REQUIRE(pod.reaper_pid != 0);
  const std::string proc = "/proc/" + std::to_string(pod.reaper_pid);
  CHECK(wait_until([&] { return access((proc + "/root/data").c_str(), F_OK) != 0; }));
  const int log = pod.open_log("log");
  pod.run({.id = "c",
           .argv = {"sh", "-c",
                    "echo pid1=$(busybox tr '\\0' ' ' < /proc/1/cmdline); "
                    "busybox sh -c 'busybox sleep 0.2 & exit 0'; busybox sleep 0.6; "
                    "busybox ps -o stat,comm; ls -l /proc/1/root /proc/1/fd"},
           .pid_mode = PidMode::kPod,
           .log = LogMode::kCri,
           .log_fd = log});
  CHECK(pod.client->next_exit().id == "c");
  const std::string text = pod.read("log");
  CHECK(text.find("pid1=coracle-reaper") != std::string::npos);
  CHECK(text.find(" sleep") == std::string::npos);
  CHECK(text.find(" Z ") == std::string::npos);
  pod.run({.id = "d", .argv = {"busybox", "sleep", "1000"}, .pid_mode = PidMode::kPod});
  kill(static_cast<pid_t>(pod.reaper_pid), SIGKILL);
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "d");
  CHECK(seen.status.wait_status == SIGKILL);
  CHECK(!pod.launch({.id = "x", .argv = {"sh"}, .pid_mode = PidMode::kPod}).ok());
  close(log);
}

TEST_CASE("a shutdown leaves no process and ends the monitor" * kUnprivileged) {
  TestPod pod(kSharedPid);
  std::vector<uint32_t> pids{pod.reaper_pid};
  for (int count = 0; count < 5; ++count) {
    pids.push_back(pod.run({.id = "c" + std::to_string(count),
                            .argv = {"busybox", "sleep", "1000"},
                            .pid_mode = count % 2 == 0 ? PidMode::kNew : PidMode::kPod}));
  }
  CHECK(pod.client->call(MessageType::kShutdown).ok());
  for (const uint32_t pid : pids) CHECK(!process_exists(pid));
  CHECK(pod.wait_status() == 0);
  const std::string mounts = pod.read("../../proc/self/mountinfo");
  CHECK(mounts.find(pod.directory) == std::string::npos);
}

TEST_CASE("a sandbox that is asked for behind a shutdown is not made" * kUnprivileged) {
  TestPod pod(0, false);
  const Fd tree(
      sys::open_tree(AT_FDCWD, pod.path("root").c_str(), sys::kOpenTreeClone | O_CLOEXEC));
  const Fd exits(open(pod.path("exits").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  SandboxRequest request;
  request.flags = kSharedPid;
  // Both are there when the monitor looks.
  REQUIRE(kill(pod.pid, SIGSTOP) == 0);
  const uint32_t shutdown = pod.client->send_bytes(MessageType::kShutdown, {}, {}, 0);
  const uint32_t sandbox =
      pod.client->send(MessageType::kSandbox, request, {tree.get(), exits.get()});
  REQUIRE(kill(pod.pid, SIGCONT) == 0);
  CHECK(pod.client->wait(sandbox).code == ESHUTDOWN);
  CHECK(pod.client->wait(shutdown).ok());
  CHECK(pod.wait_status() == 0);
}

TEST_CASE("an attached pod ends with its owner's connection, not with another's" * kUnprivileged) {
  TestPod pod(kAttached);
  const uint32_t pid = pod.run({.id = "c", .argv = {"busybox", "sleep", "1000"}});
  {
    Client other(pod.path("socket"));
    CHECK(other.call(MessageType::kHello).ok());
  }
  CHECK(pod.client->call(MessageType::kHello).ok());
  CHECK(process_exists(pid));
  delete pod.client;
  pod.client = nullptr;
  CHECK(pod.wait_status() == 0);
  CHECK(!process_exists(pid));
}

TEST_CASE("signals to the monitor's group do not reach it" * kUnprivileged) {
  TestPod pod;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1}) kill(pod.pid, signal);
  CHECK(pod.client->call(MessageType::kHello).ok());
  const uint32_t pid = pod.run({.id = "c", .argv = {"busybox", "sleep", "1000"}});
  kill(static_cast<pid_t>(pid), SIGHUP);  // the container's own dispositions are default
  CHECK(pod.client->signal("c", SIGKILL).ok());
  CHECK(pod.client->next_exit().id == "c");
}

TEST_CASE("what a monitor was started to ignore, no program of its containers ignores" *
          kUnprivileged) {
  const int ignored[] = {SIGHUP, SIGPIPE, SIGUSR1, SIGRTMAX};
  sighandler_t before[std::size(ignored)];
  for (size_t i = 0; i < std::size(ignored); ++i) before[i] = signal(ignored[i], SIG_IGN);
  TestPod pod;
  for (size_t i = 0; i < std::size(ignored); ++i) signal(ignored[i], before[i]);
  const uint32_t pid = pod.run({.id = "c", .argv = {"busybox", "sleep", "1000"}});
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  const std::string text((std::istreambuf_iterator<char>(status)), {});
  CHECK(text.find("SigIgn:\t0000000000000000") != std::string::npos);
  CHECK(pod.client->signal("c", SIGKILL).ok());
  CHECK(pod.client->next_exit().id == "c");
}

TEST_CASE("an end that a tracer keeps from the monitor is told, and reaped when that lets go" *
          kUnprivileged) {
  TestPod pod;
  std::vector<pid_t> traced;
  // More than any table of them would have.
  for (int number = 0; number < 100; ++number) {
    const std::string id = "c" + std::to_string(number);
    REQUIRE(pod.launch({.id = id, .argv = {"sh", "-c", "sleep 1000"}}).ok());
    REQUIRE(pod.client->named(MessageType::kStart, id).ok());
    traced.push_back(static_cast<pid_t>(pod.state().back().pid));
    REQUIRE(ptrace(PTRACE_SEIZE, traced.back(), nullptr, nullptr) == 0);
    if (number % 2 == 0) {
      REQUIRE(pod.client->signal(id, SIGKILL).ok());
      CHECK(pod.client->next_exit().status.wait_status == SIGKILL);
    }
    CHECK(pod.client->named(MessageType::kDelete, id).ok());
  }
  CHECK(pod.state().empty());
  for (const pid_t pid : traced) {
    CHECK(process_exists(static_cast<uint32_t>(pid)));
    // Its tracer looks at it, which is what lets go.
    int status = 0;
    CHECK(waitpid(pid, &status, __WALL) == pid);
    CHECK(WTERMSIG(status) == SIGKILL);
  }
  for (const pid_t pid : traced) {
    while (process_exists(static_cast<uint32_t>(pid))) usleep(1000);
  }
}
