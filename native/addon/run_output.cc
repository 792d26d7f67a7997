#include "native/addon/run_output.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace coracle {
namespace {

constexpr size_t kChunk = 64 * 1024;  // what a pipe holds by default, pipe(7)

// One turn of the loop reads so much of a stream, then others have theirs.
constexpr int kChunksPerTurn = 4;

// A pipe that a command without privileges has made as large as it may, fs.pipe-max-size.
constexpr int kChunksAtEnd = 16;

}  // namespace

Failure RunOutput::open(Fd* theirs) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_failure("make stdio pipe");
  reader_ = Fd(ends[0]);
  writer_ = Fd(ends[1]);
  // The reading end alone: a flag of the writing one would be the command's, too.
  if (fcntl(reader_.get(), F_SETFL, O_NONBLOCK) != 0) return system_failure("make stdio pipe");
  *theirs = Fd(fcntl(writer_.get(), F_DUPFD_CLOEXEC, 3));
  return *theirs ? Failure{} : system_failure("make stdio pipe");
}

void RunOutput::watch(uv_loop_t* loop) {
  poll_ = std::make_unique<UvPoll>(loop, reader_.get(), [this](int) { on_readable(); });
  if (poll_->valid()) poll_->start(UV_READABLE);
}

RunOutput::State RunOutput::read_some() {
  uint8_t chunk[kChunk];
  ssize_t count;
  do {
    count = read(reader_.get(), chunk, sizeof(chunk));
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return State::kEmpty;
  if (count <= 0) return State::kEnded;
  const size_t size = std::min(static_cast<size_t>(count), limit_ - bytes_.size());
  bytes_.insert(bytes_.end(), chunk, chunk + size);
  return State::kMore;
}

void RunOutput::on_readable() {
  for (int chunk = 0; chunk < kChunksPerTurn; chunk++) {
    const State state = read_some();
    // It cannot end while the writing end is held; an error would come again and again.
    if (state == State::kEnded) poll_.reset();
    if (state != State::kMore) return;
  }
}

void RunOutput::finish() {
  poll_.reset();
  writer_ = Fd();
  for (int chunk = 0; chunk < kChunksAtEnd; chunk++) {
    const State state = read_some();
    if (state == State::kEnded) reader_ = Fd();
    if (state != State::kMore) return;
  }
}

}  // namespace coracle
