// Needs root. Logs, raw streams and terminals of real containers.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "test/native/monitor_client.h"

using namespace coracle;
using namespace coracle::test;

namespace {

const auto kUnprivileged = doctest::skip(geteuid() != 0);

std::string read_to_end(int fd) {
  std::string text;
  char buffer[65536];
  for (ssize_t size; (size = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(size));
  }
  return text;
}

}  // namespace

TEST_CASE("reopening under load loses, repeats and splits no line" * kUnprivileged) {
  TestPod pod;
  int log = pod.open_log("log0");
  constexpr int kLines = 200000;
  pod.run({.id = "c",
           .argv = {"busybox", "seq", "1", std::to_string(kLines)},
           .log = LogMode::kCri,
           .log_fd = log});
  close(log);
  int files = 1;
  std::string ended;
  while (ended.empty() && files < 2000) {
    log = pod.open_log("log" + std::to_string(files++));
    REQUIRE(pod.client->named(MessageType::kReopenLog, "c", {log}).ok());
    close(log);
    ended = pod.client->next_exit(0).id;
  }
  if (ended.empty()) ended = pod.client->next_exit(20000).id;
  CHECK(ended == "c");
  CHECK(files > 3);
  // An exited container's log can still be switched.
  log = pod.open_log("last");
  CHECK(pod.client->named(MessageType::kReopenLog, "c", {log}).ok());
  close(log);
  int next = 1;
  for (int file = 0; file < files; ++file) {
    const std::string text = pod.read("log" + std::to_string(file));
    REQUIRE((text.empty() || text.back() == '\n'));
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      REQUIRE(line.substr(line.find(" F ") + 3) == std::to_string(next));
      ++next;
      at = end + 1;
    }
  }
  CHECK(next == kLines + 1);
  CHECK(pod.client->call(MessageType::kState).ok());
}

TEST_CASE("a container that floods its log holds up no other" * kUnprivileged) {
  TestPod pod;
  const int log = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (const char* id : {"flood1", "flood2"}) {
    pod.run({.id = id, .argv = {"busybox", "yes", "flood"}, .log = LogMode::kCri, .log_fd = log});
  }
  // The floods do not end: a pump that stayed with one would never come to these.
  for (int count = 0; count < 20; ++count) {
    pod.run({.id = "c" + std::to_string(count), .argv = {"sh", "-c", "exit 0"}});
    CHECK(pod.client->next_exit().id == "c" + std::to_string(count));
  }
  // Its exit is announced though its pipe was full.
  REQUIRE(pod.client->signal("flood1", SIGKILL).ok());
  CHECK(pod.client->next_exit().id == "flood1");
  close(log);
}

TEST_CASE("a full disk does not stop the container, and the loss is counted" * kUnprivileged) {
  TestPod pod;
  const int log = open("/dev/full", O_WRONLY | O_CLOEXEC);
  pod.run(
      {.id = "c", .argv = {"busybox", "seq", "1", "50000"}, .log = LogMode::kCri, .log_fd = log});
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.status.wait_status == 0);
  CHECK(seen.status.dropped_bytes > 288894);
  close(log);
}

TEST_CASE("raw streams go to files, pipes and sockets byte for byte" * kUnprivileged) {
  TestPod pod;
  const std::string script = "busybox seq 1 100000; printf 'no newline'; busybox seq 1 5 >&2";
  const int out = open(pod.path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  const int err = pod.open_log("err");  // O_APPEND: splice(2) refuses it
  pod.run({.id = "files",
           .argv = {"sh", "-c", script},
           .log = LogMode::kRaw,
           .log_fd = out,
           .stderr_fd = err});
  CHECK(pod.client->next_exit().id == "files");
  std::string expected;
  for (int line = 1; line <= 100000; ++line) expected += std::to_string(line) + "\n";
  expected += "no newline";
  CHECK(pod.read("out") == expected);
  CHECK(pod.read("err") == "1\n2\n3\n4\n5\n");
  close(out);
  close(err);

  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  pod.run({.id = "socket", .argv = {"sh", "-c", script}, .log = LogMode::kRaw, .log_fd = ends[1]});
  close(ends[1]);
  usleep(100000);  // nobody reads: the socket fills and the monitor must go on
  CHECK(pod.client->call(MessageType::kHello).ok());
  CHECK(read_to_end(ends[0]) == expected);
  CHECK(pod.client->next_exit().id == "socket");
  close(ends[0]);

  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  pod.run({.id = "gone", .argv = {"sh", "-c", script}, .log = LogMode::kRaw, .log_fd = ends[1]});
  close(ends[1]);
  close(ends[0]);
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "gone");
  CHECK(seen.status.wait_status == 0);
}

TEST_CASE("a terminal is logged, resized and handed over" * kUnprivileged) {
  TestPod pod;
  const int log = pod.open_log("log");
  pod.run({.id = "t",
           .argv = {"sh", "-c", "echo hello; read x; busybox stty size; exit 4"},
           .flags = kTerminal,
           .log = LogMode::kCri,
           .log_fd = log});
  CHECK(wait_until([&] { return pod.read("log").find("F hello\n") != std::string::npos; }));
  CHECK(pod.client->call(MessageType::kResize, ResizeRequest{Str{"t", 1}, 33, 99}).ok());
  const Answer terminal = pod.client->named(MessageType::kTerminal, "t");
  REQUIRE(terminal.ok());
  REQUIRE(write(terminal.fd, "go\n", 3) == 3);
  close(terminal.fd);
  CHECK(pod.client->next_exit().status.wait_status == 4 << 8);
  CHECK(pod.read("log").find(" stdout F 33 99\n") != std::string::npos);
  close(log);

  // Without a log the client is the only reader.
  pod.run({.id = "u", .argv = {"sh", "-c", "read x; echo got-$x"}, .flags = kTerminal});
  const Answer mine = pod.client->named(MessageType::kTerminal, "u");
  REQUIRE(mine.ok());
  REQUIRE(write(mine.fd, "it\n", 3) == 3);
  std::string text;
  CHECK(wait_until([&] {
    char buffer[256];
    const ssize_t size = read(mine.fd, buffer, sizeof(buffer));
    if (size > 0) text.append(buffer, static_cast<size_t>(size));
    return text.find("got-it") != std::string::npos;
  }));
  CHECK(pod.client->next_exit().id == "u");
  close(mine.fd);
}

TEST_CASE("children that outlive init keep their log until it ends" * kUnprivileged) {
  TestPod pod(kSharedPid);
  const int log = pod.open_log("log");
  pod.run({.id = "c",
           .argv = {"sh", "-c", "(busybox sleep 0.3; echo late) & echo early"},
           .pid_mode = PidMode::kPod,
           .log = LogMode::kCri,
           .log_fd = log});
  CHECK(pod.client->next_exit().id == "c");
  CHECK(pod.read("log").find("early") != std::string::npos);
  CHECK(pod.read("log").find("late") == std::string::npos);
  CHECK(wait_until([&] { return pod.read("log").find("F late\n") != std::string::npos; }));
  close(log);
}

TEST_CASE("a process that waits for its start gets its log with it" * kUnprivileged) {
  TestPod pod;
  const std::vector<std::string> say = {"sh", "-c", "echo late"};
  REQUIRE(pod.launch({.id = "late", .argv = say, .log = LogMode::kCri}).ok());
  const Answer without = pod.client->named(MessageType::kStart, "late");
  CHECK(without.code == EBADF);
  CHECK(without.step == "open log");
  CHECK(pod.state().at(0).state == EntryState::kParked);
  const int log = pod.open_log("log");
  CHECK(pod.client->named(MessageType::kStart, "late", {log}).ok());
  CHECK(pod.client->next_exit().status.wait_status == 0);
  CHECK(pod.read("log").find(" stdout F late\n") != std::string::npos);
}
