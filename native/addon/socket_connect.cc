#include "native/addon/socket_connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

namespace coracle {
namespace {

constexpr const char* kStep = "connect";

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// 0 where the text is no address.
socklen_t parse(const std::string& text, uint16_t port, Address* out) {
  *out = {};
  if (inet_pton(AF_INET, text.c_str(), &out->v4.sin_addr) == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    return sizeof(out->v4);
  }
  if (inet_pton(AF_INET6, text.c_str(), &out->v6.sin6_addr) != 1) return 0;
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(port);
  return sizeof(out->v6);
}

}  // namespace

SocketConnect::SocketConnect(uv_loop_t* loop, int fd, const std::string& address, uint16_t port,
                             uint64_t timeout_ms, Done done)
    : address_(address), done_(std::move(done)), timer_(new uv_timer_t) {
  uv_timer_init(loop, timer_);
  timer_->data = this;
  failure_ = begin(fd, port);
  if (!failure_.failed()) {
    poll_ = std::make_unique<UvPoll>(loop, socket_.get(), [this](int) { on_writable(); });
    if (poll_->valid()) {
      poll_->start(UV_WRITABLE);
    } else {
      failure_ = Failure{EPERM, "watch socket", address_};
    }
  }
  arm(failure_.failed() ? 0 : timeout_ms);
}

SocketConnect::~SocketConnect() {
  uv_close(reinterpret_cast<uv_handle_t*>(timer_),
           [](uv_handle_t* timer) { delete reinterpret_cast<uv_timer_t*>(timer); });
}

Failure SocketConnect::begin(int fd, uint16_t port) {
  Address address;
  const socklen_t size = parse(address_, port, &address);
  if (size == 0) return Failure{EINVAL, kStep, address_};
  socket_ = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  const int flags = fcntl(socket_.get(), F_GETFL);
  if (!socket_ || flags < 0 || fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return system_failure(kStep, address_);
  }
  if (connect(socket_.get(), &address.any, size) == 0 || errno == EINPROGRESS) return {};
  return system_failure(kStep, address_);
}

void SocketConnect::arm(uint64_t timeout_ms) {
  uv_timer_start(
      timer_,
      [](uv_timer_t* timer) {
        SocketConnect* self = static_cast<SocketConnect*>(timer->data);
        const Failure late{ETIMEDOUT, kStep, self->address_};
        self->finish(self->failure_.failed() ? self->failure_ : late);
      },
      timeout_ms, 0);
}

void SocketConnect::on_writable() {
  int code = 0;
  socklen_t size = sizeof(code);
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
  finish(code == 0 ? Failure{} : Failure{code, kStep, address_});
}

void SocketConnect::finish(const Failure& failure) {
  const Failure outcome = failure;
  const Done done = std::move(done_);
  poll_.reset();
  socket_.reset();
  done(outcome);
}

}  // namespace coracle
