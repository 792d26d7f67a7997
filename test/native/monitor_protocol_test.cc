// Needs root. Requests out of order, malformed, or from clients that misbehave.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "test/native/monitor_client.h"

using namespace coracle;
using namespace coracle::test;

namespace {
const auto kUnprivileged = doctest::skip(geteuid() != 0);
}

TEST_CASE("requests before the sandbox, a second sandbox, an unknown type" * kUnprivileged) {
  TestPod pod(0, false);
  CHECK(pod.launch({.id = "c", .argv = {"sh"}}).code == ENOTCONN);
  CHECK(pod.client->call(MessageType::kSocket, SocketRequest{AF_INET, SOCK_STREAM, 0}).code ==
        ENOTCONN);
  CHECK(pod.client->call(MessageType::kHello).as<HelloReply>().has_sandbox == 0);
  CHECK(pod.make_sandbox(*pod.client, 0).ok());
  CHECK(pod.make_sandbox(*pod.client, 0).code == EALREADY);
  CHECK(pod.client->call(static_cast<MessageType>(99)).code == ENOSYS);
}

TEST_CASE("a prepared monitor makes the pod that it was prepared for" * kUnprivileged) {
  TestPod pod(0, false);
  const PrepareRequest wanted{CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS};
  CHECK(pod.client->call(MessageType::kPrepare, wanted).ok());
  CHECK(pod.client->call(MessageType::kPrepare, wanted).code == EALREADY);
  CHECK(pod.client->call(MessageType::kHello).as<HelloReply>().has_sandbox == 0);
  CHECK(pod.make_sandbox(*pod.client, 0).ok());
  CHECK(pod.client->call(MessageType::kPrepare, wanted).code == EALREADY);
  pod.run({.id = "c", .argv = {"sh", "-c", "test $(cat /proc/sys/kernel/hostname) = test-host"}});
  const ExitSeen seen = pod.client->next_exit();
  CHECK(seen.id == "c");
  CHECK(seen.status.wait_status == 0);
}

TEST_CASE("one that was prepared for other namespaces makes none" * kUnprivileged) {
  TestPod pod(0, false);
  CHECK(pod.client->call(MessageType::kPrepare, PrepareRequest{CLONE_NEWUSER}).code == EINVAL);
  TestPod other(0, false);
  CHECK(other.client->call(MessageType::kPrepare, PrepareRequest{CLONE_NEWIPC}).ok());
  CHECK(other.make_sandbox(*other.client, 0).code == EINVAL);
}

TEST_CASE("a monitor that is no pod ends with its last connection" * kUnprivileged) {
  TestPod pod(0, false);
  CHECK(pod.client->call(MessageType::kPrepare, PrepareRequest{CLONE_NEWNET}).ok());
  {
    Client second(pod.path("socket"));
    CHECK(second.call(MessageType::kHello).ok());
  }
  CHECK(pod.client->call(MessageType::kHello).ok());
  delete pod.client;
  pod.client = nullptr;
  CHECK(wait_until([&] { return waitpid(pod.pid, nullptr, WNOHANG) == pod.pid; }, 5000));
  pod.pid = 0;
}

TEST_CASE("malformed bodies are answered with EINVAL and change nothing" * kUnprivileged) {
  TestPod pod;
  uint64_t random = 88172645463325252u;
  for (uint16_t type = 2; type <= 12; ++type) {
    const auto request = static_cast<MessageType>(type);
    if (request == MessageType::kState || request == MessageType::kShutdown) continue;
    for (int round = 0; round < 50; ++round) {
      std::vector<uint8_t> body(static_cast<size_t>(round) * 3);
      for (uint8_t& byte : body) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        byte = static_cast<uint8_t>(random);
      }
      const Answer answer = pod.client->wait(pod.client->send_bytes(request, body, {}, 0));
      CHECK(answer.code != 0);
      CHECK(answer.code != ETIMEDOUT);
    }
  }
  CHECK(pod.state().empty());
}

TEST_CASE("a client without the protocol is cut off, the others go on" * kUnprivileged) {
  TestPod pod;
  Client rude(pod.path("socket"));
  REQUIRE(send(rude.socket(), "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
  CHECK(rude.closed());
  CHECK(pod.client->call(MessageType::kHello).ok());
}

TEST_CASE("a client that does not read is cut off and blocks nobody" * kUnprivileged) {
  TestPod pod;
  Client deaf(pod.path("socket"));
  const int flags = fcntl(deaf.socket(), F_GETFL);
  fcntl(deaf.socket(), F_SETFL, flags | O_NONBLOCK);
  Frame frame;
  frame.type = MessageType::kState;
  bool cut = false;
  for (int count = 0; count < 2'000'000 && !cut; ++count) {
    frame.sequence = static_cast<uint32_t>(count + 1);
    if (send(deaf.socket(), &frame, sizeof(frame), MSG_NOSIGNAL) < 0) {
      cut = errno != EAGAIN;
      if (!cut) usleep(50);
    }
  }
  CHECK(cut);
  CHECK(pod.client->call(MessageType::kHello).ok());
}

TEST_CASE("many requests on one connection at once are all answered" * kUnprivileged) {
  TestPod pod;
  std::vector<uint32_t> sequences;
  for (int count = 0; count < 40; ++count) {
    sequences.push_back(pod.send_launch(
        *pod.client, {.id = "c" + std::to_string(count), .argv = {"sh"}, .flags = kStartAtOnce}));
  }
  for (const uint32_t sequence : sequences) CHECK(pod.client->wait(sequence).ok());
  int exits = 0;
  while (exits < 40 && !pod.client->next_exit().id.empty()) ++exits;
  CHECK(exits == 40);
}

TEST_CASE("a list of entries beyond a datagram comes in a memfd" * kUnprivileged) {
  TestPod pod;
  const int entries = 700;
  for (int count = 0; count < entries; ++count) {
    REQUIRE(pod.launch({.id = "a-rather-long-name-for-an-entry-of-a-pod-with-very-many-of-them-" +
                              std::to_string(count),
                        .argv = {"sh"}})
                .ok());
  }
  CHECK(pod.state().size() == entries);
  CHECK(pod.client->call(MessageType::kShutdown).ok());
}

TEST_CASE("sockets are made in the pod's network, where lo is up" * kUnprivileged) {
  TestPod pod;
  const Answer answer =
      pod.client->call(MessageType::kSocket, SocketRequest{AF_INET, SOCK_STREAM, 0});
  REQUIRE(answer.ok());
  REQUIRE(answer.fd >= 0);
  REQUIRE(listen(answer.fd, 1) == 0);
  CHECK((fcntl(answer.fd, F_GETFD) & FD_CLOEXEC) != 0);
  close(answer.fd);
  const int log = pod.open_log("log");
  pod.run({.id = "c",
           .argv = {"sh", "-c",
                    "busybox hostname; busybox ip addr show lo; cat /proc/sys/net/ipv4/ip_forward; "
                    "busybox ip link | busybox grep -c ether"},
           .log = LogMode::kCri,
           .log_fd = log});
  CHECK(pod.client->next_exit().id == "c");
  const std::string text = pod.read("log");
  CHECK(text.find("F test-host\n") != std::string::npos);
  CHECK(text.find("LOOPBACK,UP") != std::string::npos);
  CHECK(text.find("stdout F 1\n") != std::string::npos);
  close(log);
}
