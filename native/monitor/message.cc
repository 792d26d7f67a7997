#include "native/monitor/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace coracle {

bool FdList::push(int fd) {
  if (size_ == sizeof(fds_) / sizeof(fds_[0])) return false;
  fds_[size_++] = fd;
  return true;
}

void FdList::drop_first() {
  if (size_ == 0) return;
  Fd(fds_[0]).reset();
  memmove(fds_, fds_ + 1, (size_ - 1) * sizeof(fds_[0]));
  --size_;
}

void FdList::clear() {
  for (size_t place = 0; place < size_; ++place) Fd(fds_[place]).reset();
  size_ = 0;
}

namespace {

void collect_fds(msghdr* header, FdList* fds) {
  for (cmsghdr* control = CMSG_FIRSTHDR(header); control != nullptr;
       control = CMSG_NXTHDR(header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t place = 0; place < count; ++place) {
      int fd;
      memcpy(&fd, CMSG_DATA(control) + place * sizeof(int), sizeof(fd));
      if (!fds->push(fd)) Fd(fd).reset();
    }
  }
}

// Copies the body out of its memfd: what is checked must not change afterwards, and a mapping
// could be cut short under us. 0 or an errno.
int read_body(Message* message) {
  const int file = message->fds.at(0);
  struct stat info {};
  if (file < 0 || fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) return EINVAL;
  if (info.st_size <= 0 || static_cast<uint64_t>(info.st_size) > kMaxBody) return EMSGSIZE;
  const auto size = static_cast<size_t>(info.st_size);
  message->pages.resize(size);
  uint8_t* bytes = message->pages.data();
  if (bytes == nullptr) return ENOMEM;
  for (size_t have = 0; have < size;) {
    const ssize_t count = pread(file, bytes + have, size - have, static_cast<off_t>(have));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return EINVAL;
    have += static_cast<size_t>(count);
  }
  message->body = Bytes{bytes, static_cast<uint32_t>(size)};
  message->fds.drop_first();
  return 0;
}

}  // namespace

Received receive(int socket, uint8_t* buffer, Message* message, int* error) {
  iovec vector{buffer, kReceiveBuffer};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 253)];  // SCM_MAX_FD
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return errno == EAGAIN || errno == EINTR ? Received::kNothing : Received::kClosed;
  collect_fds(&header, &message->fds);
  if (static_cast<size_t>(size) < sizeof(Frame)) return Received::kClosed;
  memcpy(&message->frame, buffer, sizeof(Frame));
  if (message->frame.magic != kMagic || message->frame.version == 0) return Received::kClosed;
  message->body = Bytes{buffer + sizeof(Frame), static_cast<uint32_t>(size - sizeof(Frame))};
  *error = 0;
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    *error = EMSGSIZE;
  } else if ((message->frame.flags & kBodyInFd) != 0) {
    *error = read_body(message);
  }
  return *error == 0 ? Received::kMessage : Received::kMalformed;
}

}  // namespace coracle
