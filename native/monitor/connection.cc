#include "native/monitor/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace coracle {

bool is_trusted_peer(int socket) {
  // struct ucred of unix(7), which C libraries show with _GNU_SOURCE only.
  struct {
    pid_t pid;
    uid_t uid;
    gid_t gid;
  } peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

void Connection::open(Fd socket, uint32_t generation) {
  socket_ = std::move(socket);
  generation_ = generation;
  head_ = tail_ = 0;
}

void Connection::close() {
  while (head_ < tail_) {
    Queued next;
    memcpy(&next, queue_.data() + head_, sizeof(next));
    Fd(next.fd).reset();
    head_ += sizeof(next) + next.size;
  }
  head_ = tail_ = 0;
  queue_.release();
  socket_.reset();
}

Connection::Sent Connection::send_now(const Frame& frame, const uint8_t* body, size_t size,
                                      int fd) {
  iovec vectors[2] = {{const_cast<Frame*>(&frame), sizeof(frame)},
                      {const_cast<uint8_t*>(body), size}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = vectors;
  header.msg_iovlen = 2;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  }
  if (sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Sent::kYes;
  return errno == EAGAIN || errno == EINTR ? Sent::kLater : Sent::kBroken;
}

bool Connection::send(const Frame& frame, const uint8_t* body, size_t size, Fd fd) {
  if (!has_queue()) {
    const Sent sent = send_now(frame, body, size, fd.get());
    if (sent != Sent::kLater) return sent == Sent::kYes;
  }
  uint8_t* queue = queue_.data();
  const size_t needed = sizeof(Queued) + size;
  if (queue == nullptr) return false;
  if (kQueueBytes - tail_ < needed) {
    memmove(queue, queue + head_, tail_ - head_);
    tail_ -= head_;
    head_ = 0;
  }
  if (kQueueBytes - tail_ < needed) return false;
  const Queued entry{frame, static_cast<uint32_t>(size), fd.release()};
  memcpy(queue + tail_, &entry, sizeof(entry));
  if (size != 0) memcpy(queue + tail_ + sizeof(entry), body, size);
  tail_ += needed;
  return true;
}

bool Connection::flush() {
  while (has_queue()) {
    Queued next;
    memcpy(&next, queue_.data() + head_, sizeof(next));
    const Sent sent =
        send_now(next.frame, queue_.data() + head_ + sizeof(next), next.size, next.fd);
    if (sent == Sent::kLater) return true;
    if (sent == Sent::kBroken) return false;
    Fd(next.fd).reset();
    head_ += sizeof(next) + next.size;
  }
  head_ = tail_ = 0;
  queue_.release();
  return true;
}

}  // namespace coracle
