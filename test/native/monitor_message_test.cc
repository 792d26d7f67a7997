// Datagrams that a broken or hostile client might send.
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "native/monitor/message.h"
#include "test/native/send_with_fds.h"

using namespace coracle;

namespace {

struct Pair {
  Pair() { REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0); }
  ~Pair() {
    close(ends[0]);
    close(ends[1]);
  }
  void send(const std::string& bytes, const std::vector<int>& fds = {}) {
    REQUIRE(test::send_with_fds(ends[0], {{const_cast<char*>(bytes.data()), bytes.size()}}, fds,
                                0) == static_cast<ssize_t>(bytes.size()));
  }
  Received take(Message* message) { return receive(ends[1], buffer.data(), message, &error); }

  int ends[2];
  int error = 0;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(kReceiveBuffer);
};

std::string framed(const std::string& body, uint32_t flags = 0, uint32_t magic = kMagic) {
  Frame frame;
  frame.magic = magic;
  frame.flags = flags;
  return std::string(reinterpret_cast<const char*>(&frame), sizeof(frame)) + body;
}

int open_fds() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("nothing to receive is no error, a closed peer is") {
  Pair pair;
  Message message;
  CHECK(pair.take(&message) == Received::kNothing);
  shutdown(pair.ends[0], SHUT_RDWR);
  CHECK(pair.take(&message) == Received::kClosed);
}

TEST_CASE("a short frame or another magic ends the connection") {
  for (size_t size = 0; size < sizeof(Frame); ++size) {
    Pair pair;
    Message message;
    pair.send(framed("").substr(0, size));
    CHECK(pair.take(&message) == Received::kClosed);
  }
  Pair pair;
  Message message;
  pair.send(framed("", 0, 0x12345678));
  CHECK(pair.take(&message) == Received::kClosed);
}

TEST_CASE("a datagram longer than a body may be is refused and the next one is read") {
  Pair pair;
  pair.send(framed(std::string(kInlineBody + 1, 'x')));
  pair.send(framed("abc"));
  Message first;
  CHECK(pair.take(&first) == Received::kMalformed);
  CHECK(pair.error == EMSGSIZE);
  Message second;
  REQUIRE(pair.take(&second) == Received::kMessage);
  CHECK(std::string(reinterpret_cast<const char*>(second.body.data), second.body.size) == "abc");
}

TEST_CASE("descriptors that nobody takes are closed") {
  Pair pair;
  const int before = open_fds();
  {
    const int file = open("/dev/null", O_RDONLY);
    pair.send(framed("x"), std::vector<int>(253, file));
    close(file);
    Message message;
    CHECK(pair.take(&message) == Received::kMessage);
    CHECK(message.fds.at(0) >= 0);
    CHECK(message.fds.at(-1) == -1);
    CHECK(message.fds.at(253) == -1);
    CHECK((fcntl(message.fds.at(0), F_GETFD) & FD_CLOEXEC) != 0);
    const Fd taken = message.fds.take(0);
    CHECK(message.fds.at(0) == -1);
  }
  CHECK(open_fds() == before);
}

TEST_CASE("a body in a memfd is copied, and must be a file of sensible size") {
  Pair pair;
  const std::string body(200000, 'b');
  const int file = memfd_create("body", MFD_CLOEXEC);
  REQUIRE(write(file, body.data(), body.size()) == static_cast<ssize_t>(body.size()));
  pair.send(framed("", kBodyInFd), {file, 0});
  Message message;
  REQUIRE(pair.take(&message) == Received::kMessage);
  REQUIRE(ftruncate(file, 0) == 0);
  CHECK(std::string(reinterpret_cast<const char*>(message.body.data), message.body.size) == body);
  CHECK(message.fds.size() == 1);

  Message none, empty, pipe_body, huge;
  pair.send(framed("", kBodyInFd));
  CHECK(pair.take(&none) == Received::kMalformed);
  pair.send(framed("", kBodyInFd), {file});
  CHECK(pair.take(&empty) == Received::kMalformed);
  pair.send(framed("", kBodyInFd), {pair.ends[0]});
  CHECK(pair.take(&pipe_body) == Received::kMalformed);
  REQUIRE(ftruncate(file, kMaxBody + 1) == 0);
  pair.send(framed("", kBodyInFd), {file});
  CHECK(pair.take(&huge) == Received::kMalformed);
  CHECK(pair.error == EMSGSIZE);
  close(file);
}
