#include "native/addon/monitor_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace coracle {
namespace {

constexpr const char* kStep = "monitor connection";

// `directory` must stay open while the address is used.
Failure make_address(const std::string& path, Fd* directory, sockaddr_un* address) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  *directory = Fd(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!*directory) return system_failure("open", parent);
  *address = {};
  address->sun_family = AF_UNIX;
  const int length = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s",
                              directory->get(), name.c_str());
  if (length >= static_cast<int>(sizeof(address->sun_path))) {
    return Failure{ENAMETOOLONG, "monitor socket", path};
  }
  return {};
}

const sockaddr* generic(const sockaddr_un* address) {
  return reinterpret_cast<const sockaddr*>(address);
}

Failure read_memfd(int fd, std::vector<uint8_t>* bytes) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return system_failure(kStep);
  if (status.st_size < 0 || static_cast<size_t>(status.st_size) > kMaxBody) {
    return Failure{EPROTO, kStep, {}};
  }
  bytes->resize(static_cast<size_t>(status.st_size));
  const ssize_t count = pread(fd, bytes->data(), bytes->size(), 0);
  if (count < 0) return system_failure(kStep);
  return static_cast<size_t>(count) == bytes->size() ? Failure{} : Failure{EPROTO, kStep, {}};
}

// Takes every descriptor out of the control data, so that none leaks whatever follows.
std::vector<Fd> take_fds(msghdr* header) {
  std::vector<Fd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(header); part != nullptr; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.push_back(Fd(fd));
    }
  }
  return fds;
}

}  // namespace

Failure bind_socket(const std::string& path, Fd* socket) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_failure("make monitor socket", path);
  Fd directory;
  sockaddr_un address;
  Failure failure = make_address(path, &directory, &address);
  if (failure.failed()) return failure;
  // The bound inode takes the socket's own mode: nobody else can connect at any moment.
  if (fchmod(fd.get(), 0600) != 0 || bind(fd.get(), generic(&address), sizeof(address)) != 0) {
    return system_failure("bind monitor socket", path);
  }
  *socket = std::move(fd);
  return {};
}

Failure connect_socket(const std::string& path, Fd* socket, pid_t* peer) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_failure("make monitor socket", path);
  Fd directory;
  sockaddr_un address;
  Failure failure = make_address(path, &directory, &address);
  if (failure.failed()) return failure;
  if (connect(fd.get(), generic(&address), sizeof(address)) != 0) {
    return system_failure("connect to monitor", path);
  }
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return system_failure("connect to monitor", path);
  }
  if (credentials.uid != 0 && credentials.uid != geteuid()) {
    return Failure{EPERM, "connect to monitor", path};
  }
  *peer = credentials.pid;
  *socket = std::move(fd);
  return {};
}

Failure send_message(int socket, const Frame& frame, std::span<const uint8_t> body,
                     const std::vector<Fd>& fds, bool* again) {
  *again = false;
  iovec parts[2] = {{const_cast<Frame*>(&frame), sizeof(frame)},
                    {const_cast<uint8_t*>(body.data()), body.size()}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  msghdr header = {};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    memset(control, 0, header.msg_controllen);
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    for (size_t i = 0; i < fds.size(); i++) {
      const int fd = fds[i].get();
      memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    *again = true;
    return {};
  }
  return system_failure(kStep);
}

Failure receive_message(int socket, std::span<uint8_t> buffer, Received* received) {
  iovec part = {buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (kMaxFds + 3))];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    received->state = Received::State::kAgain;
    return {};
  }
  if (size < 0) return system_failure(kStep);
  received->fds = take_fds(&header);
  if (size == 0) {
    received->state = Received::State::kEnd;
    return {};
  }
  const bool cut = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (cut || static_cast<size_t>(size) < sizeof(Frame)) return Failure{EPROTO, kStep, {}};
  memcpy(&received->frame, buffer.data(), sizeof(Frame));
  if (received->frame.magic != kMagic) return Failure{EPROTO, kStep, {}};
  received->body =
      Bytes{buffer.data() + sizeof(Frame), static_cast<uint32_t>(size - sizeof(Frame))};
  if ((received->frame.flags & kBodyInFd) != 0) {
    if (received->fds.empty()) return Failure{EPROTO, kStep, {}};
    Failure failure = read_memfd(received->fds.front().get(), &received->large);
    if (failure.failed()) return failure;
    received->fds.erase(received->fds.begin());
    received->body = Bytes{received->large.data(), static_cast<uint32_t>(received->large.size())};
  }
  received->state = Received::State::kMessage;
  return {};
}

}  // namespace coracle
