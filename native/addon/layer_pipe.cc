#include "native/addon/layer_pipe.h"

#include <algorithm>
#include <utility>

namespace coracle::layer {

BlockPipe::BlockPipe(size_t block_bytes, size_t blocks, size_t readers)
    : blocks_(blocks), readers_(readers) {
  for (Block& block : blocks_) block.bytes.resize(block_bytes);
}

uint64_t BlockPipe::slowest() const {
  uint64_t least = written_;
  for (const Reader& reader : readers_) least = std::min(least, reader.at);
  return least;
}

std::span<uint8_t> BlockPipe::claim() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return abandoned_ || written_ - slowest() < blocks_.size(); });
  if (abandoned_) return {};
  return blocks_[written_ % blocks_.size()].bytes;
}

void BlockPipe::publish(size_t bytes) {
  const std::lock_guard lock(mutex_);
  blocks_[written_ % blocks_.size()].used = bytes;
  ++written_;
  filled_.notify_all();
}

void BlockPipe::end(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  failure_ = std::move(failure);
  filled_.notify_all();
}

std::span<const uint8_t> BlockPipe::next(size_t number) {
  std::unique_lock lock(mutex_);
  Reader& reader = readers_[number];
  if (reader.holds) {
    reader.holds = false;
    ++reader.at;
    freed_.notify_one();
  }
  filled_.wait(lock, [&] { return abandoned_ || ended_ || reader.at < written_; });
  if (abandoned_) return {};
  if (reader.at < written_) {
    reader.holds = true;
    const Block& block = blocks_[reader.at % blocks_.size()];
    return {block.bytes.data(), block.used};
  }
  if (failure_) std::rethrow_exception(failure_);
  return {};
}

void BlockPipe::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  freed_.notify_all();
  filled_.notify_all();
}

}  // namespace coracle::layer
