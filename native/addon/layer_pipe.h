// Blocks of a byte stream, handed from the thread that makes them to the threads that use them.
#ifndef CORACLE_NATIVE_ADDON_LAYER_PIPE_H_
#define CORACLE_NATIVE_ADDON_LAYER_PIPE_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <vector>

namespace coracle::layer {

// One writer, `readers` readers that each see every block. Memory is that of the blocks: the
// writer waits for the slowest reader.
class BlockPipe {
 public:
  BlockPipe(size_t block_bytes, size_t blocks, size_t readers);

  // The writer's: a block to fill, once one is free; empty when the readers want no more.
  std::span<uint8_t> claim();
  // Hands on the claimed block's first `bytes` (not 0).
  void publish(size_t bytes);
  // The stream ends here, by a failure where there is one.
  void end(std::exception_ptr failure);

  // A reader's: its next block, valid until its next call; empty at the end, and after abandon().
  // Throws what the writer failed with, once everything before that has been read.
  std::span<const uint8_t> next(size_t reader);

  // Any thread: the stream is not wanted any more. Nobody waits after this.
  void abandon();

 private:
  struct Block {
    std::vector<uint8_t> bytes;
    size_t used = 0;
  };
  struct Reader {
    uint64_t at = 0;  // the block it is looking at, or waits for
    bool holds = false;
  };

  uint64_t slowest() const;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::condition_variable filled_;
  std::vector<Block> blocks_;
  std::vector<Reader> readers_;
  uint64_t written_ = 0;
  bool ended_ = false;
  bool abandoned_ = false;
  std::exception_ptr failure_;
};

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_PIPE_H_
