#include "native/addon/netlink_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace coracle::netlink {
namespace {

// The kernel sizes the messages of a dump after the reader's buffer and never needs more than this.
constexpr size_t kBufferSize = 32UL * 1024;
constexpr int kTimeoutSeconds = 10;
constexpr int kDumpAttempts = 8;

// Shared by all sockets, so that a borrowed one, which may hold an answer to a request of its
// earlier user, never matches by accident.
std::atomic<uint32_t> next_sequence{static_cast<uint32_t>(::time(nullptr))};

// The text of a failed acknowledgement. The attributes follow the echoed request, which the
// kernel shortens to its header under NETLINK_CAP_ACK.
std::string explanation(const nlmsghdr& header, ByteSpan payload, const nlmsgerr& error) {
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  size_t skip = sizeof(nlmsgerr);
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len > NLMSG_HDRLEN) {
    skip += NLMSG_ALIGN(error.msg.nlmsg_len - NLMSG_HDRLEN);
  }
  if (skip > payload.size()) return {};
  return std::string(string_attribute(payload.subspan(skip), NLMSGERR_ATTR_MSG));
}

}  // namespace

Socket::~Socket() {
  if (owned_) ::close(fd_);
}

Status Socket::open(int protocol) {
  fd_ = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd_ < 0) return {errno, {}};
  owned_ = true;
  return configure();
}

Status Socket::borrow(int fd) {
  int domain = 0, protocol = 0;
  socklen_t size = sizeof(domain);
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return {errno, {}};
  size = sizeof(protocol);
  if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0) return {errno, {}};
  if (domain != AF_NETLINK || protocol != NETLINK_ROUTE) return {EPROTOTYPE, {}};
  fd_ = fd;
  return configure();
}

Status Socket::configure() {
  const timeval timeout{kTimeoutSeconds, 0};
  if (::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
      ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0) {
    return {errno, {}};
  }
  // Conveniences that every supported kernel has; nothing depends on them.
  const int on = 1;
  ::setsockopt(fd_, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  ::setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  ::setsockopt(fd_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  buffer_ = std::make_unique_for_overwrite<uint8_t[]>(kBufferSize);
  return {};
}

Status Socket::send(Message& request, uint16_t flags, uint32_t& sequence) {
  sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  const ByteSpan bytes = request.finish(sequence, flags);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const ssize_t sent = ::sendto(fd_, bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
    if (sent >= 0) return {};
    if (errno != EINTR) return {errno == EAGAIN ? ETIMEDOUT : errno, {}};
  }
}

Status Socket::receive(uint32_t sequence, std::vector<Reply>* replies) {
  bool interrupted = false;
  for (;;) {
    sockaddr_nl from{};
    iovec into{buffer_.get(), kBufferSize};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    const ssize_t count = ::recvmsg(fd_, &message, 0);
    if (count < 0) {
      if (errno == EINTR) continue;
      return {errno == EAGAIN ? ETIMEDOUT : errno, {}};
    }
    if (count == 0) return {ECONNRESET, {}};
    if ((message.msg_flags & MSG_TRUNC) != 0) return {ENOBUFS, {}};
    if (from.nl_pid != 0) continue;  // another process, not the kernel

    ByteSpan rest(buffer_.get(), static_cast<size_t>(count));
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header;
      memcpy(&header, rest.data(), sizeof(header));
      if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > rest.size()) return {EBADMSG, {}};
      const ByteSpan payload = rest.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
      rest = rest.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
      if (header.nlmsg_seq != sequence) continue;
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;

      switch (header.nlmsg_type) {
        case NLMSG_NOOP:
          break;
        case NLMSG_OVERRUN:
          return {ENOBUFS, {}};
        case NLMSG_ERROR: {
          nlmsgerr error;
          if (payload.size() < sizeof(error)) return {EBADMSG, {}};
          memcpy(&error, payload.data(), sizeof(error));
          if (error.error == 0) return {};
          return {-error.error, explanation(header, payload, error)};
        }
        case NLMSG_DONE: {
          int error = 0;
          if (payload.size() >= sizeof(error)) memcpy(&error, payload.data(), sizeof(error));
          if (error < 0) return {-error, {}};
          return {interrupted ? EINTR : 0, {}};
        }
        default:
          if (replies != nullptr) {
            replies->push_back({header.nlmsg_type, {payload.begin(), payload.end()}});
          }
      }
    }
  }
}

Status Socket::exchange(Message& request, std::vector<Reply>* replies) {
  uint32_t sequence = 0;
  Status status = send(request, NLM_F_ACK, sequence);
  if (!status.ok()) return status;
  return receive(sequence, replies);
}

Status Socket::dump(Message& request, std::vector<Reply>& replies) {
  Status status;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    replies.clear();
    uint32_t sequence = 0;
    status = send(request, NLM_F_DUMP, sequence);
    // EBUSY: an earlier dump of this socket, given up in the middle, is still being delivered.
    if (status.ok()) status = receive(sequence, &replies);
    if (status.code != EINTR && status.code != ENOBUFS && status.code != EBUSY) break;
  }
  return status;
}

}  // namespace coracle::netlink
