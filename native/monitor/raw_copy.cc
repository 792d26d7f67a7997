#include "native/monitor/raw_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace coracle {
namespace {

constexpr size_t kBuffer = 64 * 1024;

bool has_input(int source) {
  int bytes = 0;
  return ioctl(source, FIONREAD, &bytes) == 0 && bytes > 0;
}

}  // namespace

void RawCopy::open(Fd target) {
  target_ = std::move(target);
  buffered_ = false;
  pending_.resize(kBuffer);
  pending_size_ = 0;
  struct stat info {};
  if (fstat(target_.get(), &info) == 0 && !S_ISREG(info.st_mode)) {
    fcntl(target_.get(), F_SETFL, fcntl(target_.get(), F_GETFL) | O_NONBLOCK);
  }
}

void RawCopy::close() {
  dropped_ += pending_size_;
  pending_size_ = 0;
  pending_.release();
  target_.reset();
}

void RawCopy::fail(size_t lost) {
  dropped_ += lost;
  close();
  buffered_ = true;  // drains the source into the buffer, from where it goes nowhere
}

RawCopy::Result RawCopy::splice_some(int source, size_t limit) {
  const ssize_t count =
      splice(source, nullptr, target_.get(), nullptr, limit, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count > 0) return {PumpState::kMore, static_cast<size_t>(count)};
  if (count == 0) return {PumpState::kEnded, 0};
  if (errno == EAGAIN || errno == EINTR) {
    // splice(2) does not say which of its ends would have blocked.
    return {has_input(source) ? PumpState::kBlocked : PumpState::kEmpty, 0};
  }
  if (errno == EINVAL) {
    buffered_ = true;
    return copy_through_buffer(source, limit);
  }
  fail(0);
  return {PumpState::kMore, 0};
}

PumpState RawCopy::write_pending() {
  while (pending_size_ != 0) {
    const ssize_t count = write(target_.get(), pending_.data() + pending_from_, pending_size_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return PumpState::kBlocked;
    if (count <= 0) {
      fail(0);
      return PumpState::kMore;
    }
    pending_from_ += static_cast<size_t>(count);
    pending_size_ -= static_cast<size_t>(count);
  }
  return PumpState::kMore;
}

RawCopy::Result RawCopy::copy_through_buffer(int source, size_t limit) {
  if (pending_size_ != 0 && write_pending() == PumpState::kBlocked) {
    return {PumpState::kBlocked, 0};
  }
  uint8_t* buffer = pending_.data();
  if (buffer == nullptr) return {PumpState::kEmpty, 0};
  const ssize_t count = read(source, buffer, limit < kBuffer ? limit : kBuffer);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
    pending_.release();
    return {PumpState::kEmpty, 0};
  }
  if (count <= 0) return {PumpState::kEnded, 0};
  const auto size = static_cast<size_t>(count);
  if (target_.get() < 0) {
    dropped_ += size;
    return {PumpState::kMore, size};
  }
  pending_from_ = 0;
  pending_size_ = size;
  return {write_pending(), size};
}

RawCopy::Result RawCopy::copy(int source, size_t limit) {
  return buffered_ ? copy_through_buffer(source, limit) : splice_some(source, limit);
}

}  // namespace coracle
