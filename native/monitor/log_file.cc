#include "native/monitor/log_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <utility>

#include "native/sys/failpoint.h"

namespace coracle {

void LogFile::open(Fd fd, size_t max_line) {
  fd_ = std::move(fd);
  rest_.resize(max_line);
  rest_size_ = 0;
}

// Returns how much was written: less than `size` means that the file takes no more now.
size_t LogFile::write_some(const char* bytes, size_t size) {
  size_t written = 0;
  while (written < size) {
    const bool fails = sys::failpoint("log.write") != 0;
    const ssize_t count = fails ? -1 : ::write(fd_.get(), bytes + written, size - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<size_t>(count);
  }
  return written;
}

bool LogFile::complete_cut_line() {
  if (rest_size_ == 0) return true;
  const char* rest = reinterpret_cast<const char*>(rest_.data()) + rest_from_;
  const size_t written = write_some(rest, rest_size_);
  rest_from_ += written;
  rest_size_ -= written;
  if (rest_size_ != 0) return false;
  rest_.release();
  return true;
}

void LogFile::write(const char* lines, size_t size) {
  if (!is_open() || size == 0) return;
  if (!complete_cut_line()) {
    dropped_ += size;
    return;
  }
  const size_t written = write_some(lines, size);
  if (written == size) return;
  size_t lost = size - written;
  const bool cut = written != 0 && lines[written - 1] != '\n';
  if (cut) {
    const char* from = lines + written;
    const void* newline = memchr(from, '\n', size - written);
    const size_t rest = static_cast<size_t>(static_cast<const char*>(newline) - from) + 1;
    uint8_t* keep = rest <= rest_.capacity() ? rest_.data() : nullptr;
    if (keep != nullptr) {
      memcpy(keep, from, rest);
      rest_from_ = 0;
      rest_size_ = rest;
      lost -= rest;
    }
  }
  dropped_ += lost;
}

void LogFile::reopen(Fd fd) {
  if (!complete_cut_line()) {
    dropped_ += rest_size_;
    rest_size_ = 0;
    rest_.release();
  }
  fd_ = std::move(fd);
}

void LogFile::close() {
  if (is_open() && !complete_cut_line()) dropped_ += rest_size_;
  rest_size_ = 0;
  rest_.release();
  fd_.reset();
}

}  // namespace coracle
