// One received datagram: its frame, its body and the descriptors that came with it.
#ifndef CORACLE_NATIVE_MONITOR_MESSAGE_H_
#define CORACLE_NATIVE_MONITOR_MESSAGE_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/pages.h"
#include "native/plan/protocol.h"
#include "native/sys/fd.h"

namespace coracle {

// The descriptors of a message. Whoever needs one takes it; the rest is closed at the end.
class FdList {
 public:
  FdList() = default;
  FdList(const FdList&) = delete;
  FdList& operator=(const FdList&) = delete;
  ~FdList() { clear(); }

  bool push(int fd);
  void drop_first();
  void clear();

  const int* data() const { return fds_; }
  size_t size() const { return size_; }
  // -1 where the index names none, or one that was taken.
  int at(int index) const {
    return index >= 0 && static_cast<size_t>(index) < size_ ? fds_[index] : -1;
  }
  Fd take(int index) {
    const int fd = at(index);
    if (fd >= 0) fds_[index] = -1;
    return Fd(fd);
  }

 private:
  int fds_[kMaxFds + 1];
  size_t size_ = 0;
};

struct Message {
  Frame frame;
  Bytes body;  // points into the receiver's buffer or into `pages`
  FdList fds;
  Pages pages;  // of a body that came in a memfd
};

enum class Received : uint8_t {
  kMessage,
  kMalformed,  // the frame is good, the rest is not: `error` says what to answer
  kNothing,    // no datagram now
  kClosed,     // the peer is gone, or does not speak this protocol
};

// Receives one datagram without blocking into `buffer` (kReceiveBuffer bytes).
inline constexpr size_t kReceiveBuffer = sizeof(Frame) + kInlineBody;
Received receive(int socket, uint8_t* buffer, Message* message, int* error);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_MESSAGE_H_
