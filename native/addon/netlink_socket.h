// A blocking netlink socket with acknowledgements, dumps and the kernel's error texts.
#ifndef CORACLE_NATIVE_ADDON_NETLINK_SOCKET_H_
#define CORACLE_NATIVE_ADDON_NETLINK_SOCKET_H_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <string>
#include <vector>

#include "native/addon/netlink_message.h"

namespace coracle::netlink {

struct Status {
  int code = 0;             // errno, 0 for success
  std::string kernel_text;  // the kernel's own explanation, often empty
  bool ok() const { return code == 0; }
};

// What the kernel answered, without the nlmsghdr.
struct Reply {
  uint16_t type = 0;
  std::vector<uint8_t> payload;
};

// Not thread-safe; one thread uses a socket at a time.
class Socket {
 public:
  Socket() = default;
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // In the network namespace of the calling thread. NETLINK_ROUTE or NETLINK_NETFILTER.
  Status open(int protocol = NETLINK_ROUTE);
  // Uses a descriptor that stays the caller's. EPROTOTYPE: it is no NETLINK_ROUTE socket.
  Status borrow(int fd);
  int fd() const { return fd_; }

  // Sends one request and waits for its acknowledgement; answers that precede it land in
  // `replies`. ETIMEDOUT after 10 s without an answer, ENOBUFS if the kernel dropped it.
  Status exchange(Message& request, std::vector<Reply>* replies = nullptr);

  // Reads a whole table, again from the start if it changed meanwhile (NLM_F_DUMP_INTR) or did
  // not fit (ENOBUFS). EINTR after eight attempts.
  Status dump(Message& request, std::vector<Reply>& replies);

 private:
  Status configure();
  Status send(Message& request, uint16_t flags, uint32_t& sequence);
  // Reads until the acknowledgement or the end of the dump.
  Status receive(uint32_t sequence, std::vector<Reply>* replies);

  int fd_ = -1;
  bool owned_ = false;
  std::unique_ptr<uint8_t[]> buffer_;
};

}  // namespace coracle::netlink

#endif  // CORACLE_NATIVE_ADDON_NETLINK_SOCKET_H_
