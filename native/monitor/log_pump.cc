#include "native/monitor/log_pump.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "native/monitor/clock.h"

namespace coracle {
namespace {

// Pipes begin with the default 64 KiB and grow when they were found full. Not all of them are
// made big at once, since the kernel counts their pages per user (fs.pipe-user-pages-soft,
// pipe(7)) and then gives tiny pipes to unprivileged processes of the same user, containers too.
constexpr int kGrownPipe = 1024 * 1024;

void flush_to_file(void* file, const char* lines, size_t size) {
  static_cast<LogFile*>(file)->write(lines, size);
}

}  // namespace

void LogPump::open(Fd source) {
  source_ = std::move(source);
  mode_ = LogMode::kNone;
  grown_ = false;
  moved_ = 0;
  const int flags = fcntl(source_.get(), F_GETFL);
  fcntl(source_.get(), F_SETFL, flags | O_NONBLOCK);
}

void LogPump::write_cri(Stream stream, size_t max_line) {
  mode_ = LogMode::kCri;
  framer_.open(stream, max_line);
}

void LogPump::write_raw(Fd target) {
  mode_ = LogMode::kRaw;
  raw_.open(std::move(target));
}

PumpState LogPump::pump_cri(PumpBuffers& buffers, LogFile& file) {
  char* input = reinterpret_cast<char*>(buffers.input.data());
  char* output = reinterpret_cast<char*>(buffers.output.data());
  if (input == nullptr || output == nullptr) return PumpState::kEmpty;
  buffers.used = true;
  const ssize_t count = read(source_.get(), input, kPumpChunk);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return PumpState::kEmpty;
  if (count <= 0) return end(buffers, file);  // EIO: the last slave of a terminal is closed
  moved_ += static_cast<uint64_t>(count);
  buffers.filled = static_cast<size_t>(count);
  if (count == static_cast<ssize_t>(kPumpChunk) && !grown_) {
    grown_ = true;
    fcntl(source_.get(), F_SETPIPE_SZ, kGrownPipe);
  }
  if (mode_ == LogMode::kCri && file.is_open()) {
    LineSink sink(output, buffers.output.capacity(), flush_to_file, &file);
    framer_.feed(buffers.timestamp.format(realtime_ns()), input, static_cast<size_t>(count), sink);
    sink.flush();
  }
  return PumpState::kMore;
}

PumpState LogPump::pump(PumpBuffers& buffers, LogFile& file) {
  buffers.filled = 0;
  if (!is_open()) return PumpState::kEnded;
  if (mode_ != LogMode::kRaw) return pump_cri(buffers, file);
  const RawCopy::Result result = raw_.copy(source_.get(), kPumpChunk);
  moved_ += result.moved;
  return result.state == PumpState::kEnded ? end(buffers, file) : result.state;
}

void LogPump::finish_line(PumpBuffers& buffers, LogFile& file) {
  if (mode_ != LogMode::kCri) return;
  char* output = reinterpret_cast<char*>(buffers.output.data());
  if (output == nullptr) return;
  buffers.used = true;
  LineSink sink(output, buffers.output.capacity(), flush_to_file, &file);
  framer_.finish(buffers.timestamp.format(realtime_ns()), sink);
  sink.flush();
}

PumpState LogPump::end(PumpBuffers& buffers, LogFile& file) {
  finish_line(buffers, file);
  return PumpState::kEnded;
}

void LogPump::close() {
  source_.reset();
  raw_.close();
  framer_.release();
}

}  // namespace coracle
