// Needs root. Attach clients of real containers: what they see, send, and must not disturb.
#include <dirent.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "test/native/monitor_client.h"

using namespace coracle;
using namespace coracle::test;

namespace {

const auto kUnprivileged = doctest::skip(geteuid() != 0);
constexpr uint32_t kBoth = kAttachStdout | kAttachStderr;

// An attach client that holds its ends of both pipes.
class Attached {
 public:
  Attached(TestPod& pod, const std::string& id, uint32_t flags = kBoth, bool input = false) {
    int out[2], in[2] = {-1, -1};
    REQUIRE(pipe2(out, O_CLOEXEC) == 0);
    if (input) REQUIRE(pipe2(in, O_CLOEXEC) == 0);
    AttachRequest request{Str{id.data(), static_cast<uint32_t>(id.size())}};
    request.flags = flags;
    request.output_fd = 0;
    request.input_fd = input ? 1 : -1;
    std::vector<int> fds = {out[1]};
    if (input) fds.push_back(in[0]);
    answer = pod.client->call(MessageType::kAttach, request, fds);
    for (int fd : fds) close(fd);
    output = out[0];
    this->input = in[1];
  }
  ~Attached() { leave(); }
  Attached(const Attached&) = delete;

  void leave() {
    if (output >= 0) close(output);
    end_input();
    output = -1;
  }
  void end_input() {
    if (input >= 0) close(input);
    input = -1;
  }
  void type(const std::string& text) {
    REQUIRE(write(input, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }

  // Takes one read's worth of output. False at the end of the pipe, or when none comes in time.
  bool take(int milliseconds = 5000) {
    pollfd waiting{output, POLLIN, 0};
    if (poll(&waiting, 1, milliseconds) != 1) return false;
    char buffer[65536];
    const ssize_t size = read(output, buffer, sizeof(buffer));
    if (size <= 0) return false;
    raw_.append(buffer, static_cast<size_t>(size));
    while (raw_.size() >= sizeof(AttachFrame)) {
      AttachFrame head;
      memcpy(&head, raw_.data(), sizeof(head));
      if (raw_.size() < sizeof(head) + head.size) break;
      if (head.stream == AttachStream::kEnd) {
        ended = true;
      } else if (head.size == 0) {
        closed[head.stream] = true;
      }
      text[head.stream].append(raw_, sizeof(head), head.size);
      raw_.erase(0, sizeof(head) + head.size);
    }
    return true;
  }
  void take_all() {
    while (take()) {
    }
  }
  std::string out() { return text[AttachStream::kStdout]; }
  std::string err() { return text[AttachStream::kStderr]; }
  bool sees(const std::string& wanted) {
    while (out().find(wanted) == std::string::npos) {
      if (!take()) return false;
    }
    return true;
  }
  // The pipe has ended, with the last word or without.
  bool cut_off() const { return !ended; }

  Answer answer;
  int output = -1, input = -1;
  bool ended = false;
  std::map<AttachStream, std::string> text;
  std::map<AttachStream, bool> closed;

 private:
  std::string raw_;
};

size_t descriptors(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  DIR* directory = opendir(path.c_str());
  REQUIRE(directory != nullptr);
  size_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

Process reader(const std::string& id, const std::string& script, uint32_t flags = 0) {
  return {.id = id, .argv = {"sh", "-c", script}, .flags = kAttachable | kHoldStdin | flags};
}

}  // namespace

TEST_CASE("clients get both streams and the last word, without a log" * kUnprivileged) {
  TestPod pod;
  REQUIRE(pod.launch(reader("c", "read x; echo out-$x; echo err >&2; exec 2>&-; read y")).ok());
  Attached early(pod, "c", kBoth, true);  // before it runs: nothing is missed
  Attached late(pod, "c", kAttachStderr);
  REQUIRE(early.answer.ok());
  REQUIRE(late.answer.ok());
  REQUIRE(pod.client->named(MessageType::kStart, "c").ok());
  early.type("1\n");
  CHECK(early.sees("out-1\n"));
  while (!late.closed[AttachStream::kStderr] && late.take()) {
  }
  CHECK(late.closed[AttachStream::kStderr]);
  CHECK_FALSE(late.ended);
  early.type("2\n");
  CHECK(pod.client->next_exit().id == "c");
  early.take_all();
  late.take_all();
  CHECK(early.ended);
  CHECK(early.out() == "out-1\n");
  CHECK(early.err() == "err\n");
  CHECK(late.ended);
  CHECK(late.out().empty());
  CHECK(late.err() == "err\n");
}

TEST_CASE("a client that does not read is cut off and delays nobody" * kUnprivileged) {
  TestPod pod;
  const int log = pod.open_log("log");
  Process flood = reader("c", "read x; busybox seq 1 400000");
  flood.log = LogMode::kCri;
  flood.log_fd = log;
  pod.run(flood);
  close(log);
  Attached slow(pod, "c"), quick(pod, "c", kBoth, true);
  REQUIRE(quick.answer.ok());
  quick.type("\n");
  quick.take_all();
  CHECK(pod.client->next_exit(20000).id == "c");
  std::string expected;
  for (int line = 1; line <= 400000; ++line) expected += std::to_string(line) + "\n";
  CHECK(quick.ended);
  CHECK(quick.out() == expected);
  slow.take_all();
  CHECK(slow.cut_off());
  CHECK(slow.out().size() > 500000);  // what fits into the grown pipe
  CHECK(slow.out() == expected.substr(0, slow.out().size()));
  const std::string text = pod.read("log");
  CHECK(std::count(text.begin(), text.end(), '\n') == 400000);
}

TEST_CASE("a client that is behind at the end still gets the last word" * kUnprivileged) {
  TestPod pod;
  pod.run(reader("c", "read x; busybox seq -w 100000 169999"));
  Attached client(pod, "c", kBoth, true);
  client.type("\n");
  CHECK(pod.client->next_exit().id == "c");
  REQUIRE(pod.client->named(MessageType::kDelete, "c").ok());
  client.take_all();
  CHECK(client.ended);
  CHECK(client.out().size() == 70000 * 7);
}

TEST_CASE("stdin stays open for the next client, and what was sent arrives" * kUnprivileged) {
  TestPod pod;
  pod.run(reader("c", "busybox cat"));
  Attached watcher(pod, "c");
  for (const char* line : {"one\n", "two\n"}) {
    Attached typist(pod, "c", 0, true);
    REQUIRE(typist.answer.ok());
    typist.type(line);
    typist.leave();
    CHECK(watcher.sees(line));
  }
  CHECK_FALSE(watcher.ended);
  // More than the pipes hold, from one who leaves before it is read.
  REQUIRE(pod.client->signal("c", SIGSTOP).ok());
  const std::string big(60000, 'x');
  for (int part = 0; part < 2; ++part) {
    Attached typist(pod, "c", 0, true);
    typist.type(big);
  }
  CHECK(pod.client->call(MessageType::kHello).ok());
  REQUIRE(pod.client->signal("c", SIGCONT).ok());
  while (watcher.out().size() < 8 + 2 * big.size() && watcher.take()) {
  }
  CHECK(watcher.out() == "one\ntwo\n" + big + big);
}

TEST_CASE("LG-12: stdin_once ends stdin with the first client that had it" * kUnprivileged) {
  TestPod pod;
  pod.run(reader("c", "busybox cat; echo end-of-file", kStdinOnce));
  {
    Attached without(pod, "c");
    REQUIRE(without.answer.ok());
  }
  Attached first(pod, "c", kBoth, true), second(pod, "c", 0, true);
  second.type("2\n");
  first.type("1\n");
  CHECK(first.sees("1\n"));
  first.end_input();
  CHECK(pod.client->next_exit().id == "c");
  first.take_all();
  CHECK(first.ended);
  CHECK(first.out().find("end-of-file\n") != std::string::npos);
  signal(SIGPIPE, SIG_IGN);
  CHECK(write(second.input, "3", 1) == -1);
  CHECK(errno == EPIPE);
}

TEST_CASE("a terminal is shared by its log and its clients" * kUnprivileged) {
  TestPod pod;
  const int log = pod.open_log("log");
  Process shell = reader("t", "while read x; do echo got-$x; busybox stty size; done", kTerminal);
  shell.flags &= ~static_cast<uint32_t>(kHoldStdin);
  shell.log = LogMode::kCri;
  shell.log_fd = log;
  pod.run(shell);
  close(log);
  Attached watcher(pod, "t", kAttachStdout), typist(pod, "t", kAttachStdout, true);
  REQUIRE(typist.answer.ok());
  CHECK(pod.client->call(MessageType::kResize, ResizeRequest{Str{"t", 1}, 33, 99}).ok());
  typist.type("a\n");
  CHECK(typist.sees("got-a\r\n33 99\r\n"));
  CHECK(watcher.sees("got-a\r\n33 99\r\n"));
  typist.leave();
  Attached next(pod, "t", kAttachStdout, true);
  next.type("b\n\x04");  // VEOF ends the loop
  CHECK(next.sees("got-b"));
  CHECK(pod.client->next_exit().id == "t");
  next.take_all();
  watcher.take_all();
  CHECK(watcher.ended);
  CHECK(pod.read("log").find(" stdout F got-b\n") != std::string::npos);
}

TEST_CASE("clients are counted, and those that leave leave nothing" * kUnprivileged) {
  TestPod pod;
  pod.run(reader("c", "exec busybox sleep 1000"));
  const size_t before = descriptors(pod.pid);
  const auto settles_at = [&](size_t wanted) {
    return wait_until([&] { return descriptors(pod.pid) == wanted; });
  };
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Attached>> all;
    for (int count = 0; count < 16; ++count) {
      all.push_back(std::make_unique<Attached>(pod, "c", kBoth, true));
      REQUIRE(all.back()->answer.ok());
    }
    const Attached refused(pod, "c");
    CHECK(refused.answer.code == EAGAIN);
    all.clear();
    CHECK(settles_at(before));
  }
  // Nobody reads what these left behind, and they are in nobody's way.
  const std::string big(65536, 'x');
  for (int count = 0; count < 40; ++count) {
    Attached typist(pod, "c", 0, true);
    REQUIRE(typist.answer.ok());
    typist.type(big);
  }
  Attached watcher(pod, "c");
  CHECK(watcher.answer.ok());
  REQUIRE(pod.client->signal("c", SIGKILL).ok());
  CHECK(pod.client->next_exit().id == "c");
  watcher.take_all();
  CHECK(watcher.ended);
  REQUIRE(pod.client->named(MessageType::kDelete, "c").ok());
  CHECK(descriptors(pod.pid) < before);
}

TEST_CASE("what cannot be attached to is refused" * kUnprivileged) {
  TestPod pod;
  const int log = pod.open_log("log");
  pod.run({.id = "raw", .argv = {"sh"}, .log = LogMode::kRaw, .log_fd = log});
  CHECK(pod.client->next_exit().id == "raw");
  Process parked{.id = "raw2", .argv = {"sh"}, .log = LogMode::kRaw, .log_fd = log};
  REQUIRE(pod.launch(parked).ok());
  close(log);
  CHECK(Attached(pod, "raw").answer.code == ESRCH);
  CHECK(Attached(pod, "raw2").answer.code == EOPNOTSUPP);
  CHECK(Attached(pod, "none").answer.code == ENOENT);
  AttachRequest request{Str{"raw2", 4}};
  request.output_fd = 0;
  const int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(pod.client->call(MessageType::kAttach, request, {file}).code == EBADF);
  CHECK(pod.client->call(MessageType::kAttach, request).code == EBADF);
  close(file);
  // A launch without kAttachable: its streams are seen to be at their end.
  pod.run({.id = "plain", .argv = {"busybox", "sleep", "1000"}});
  Attached plain(pod, "plain");
  CHECK(plain.answer.ok());
  CHECK(plain.take());
  CHECK(plain.closed[AttachStream::kStdout]);
  CHECK(plain.closed[AttachStream::kStderr]);
}
