// The threads of a layer stream where they end in the middle of things: for ThreadSanitizer, and
// for anyone who would wait for ever.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "native/addon/decompress_file.h"
#include "native/addon/layer_fail.h"
#include "native/addon/layer_pipe.h"
#include "native/addon/layer_stream.h"
#include "test/native/layer_fixture.h"

using namespace coracle;
using namespace layer_fixture;

namespace {

namespace fs = std::filesystem;

constexpr size_t kPlain = 5 << 20;

// A file of five MiB: more than the pipe holds, so that its writer has to wait.
struct Blob {
  Blob() {
    path = (fs::temp_directory_path() / "coracle-threads-XXXXXX").string();
    const int fd = mkstemp(path.data());
    const std::string bytes(kPlain, 'b');
    REQUIRE(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  ~Blob() { fs::remove(path); }
  std::string path;
};

}  // namespace

TEST_CASE("a stream may be let go of after any number of blocks") {
  const Blob blob;
  for (int blocks = 0; blocks < 24; ++blocks) {
    layer::LayerStream stream({blob.path, Compression::kNone, kPlain, blocks % 2 == 0, nullptr});
    for (int block = 0; block < blocks; ++block) (void)stream.next();
  }
}

TEST_CASE("streams beside each other, each given up by another thread") {
  const Blob blob;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      std::atomic<bool> cancelled{false};
      std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::microseconds(300 * number));
        cancelled.store(true, std::memory_order_relaxed);
      });
      const std::string target = blob.path + "." + std::to_string(number);
      const LayerError error =
          decompress_file({blob.path, Compression::kNone, target, kPlain, &cancelled});
      other.join();
      // Done before that, or given up without a trace.
      const bool fine = error ? error.code == ECANCELED && !fs::exists(target)
                              : fs::file_size(target) == kPlain && fs::remove(target);
      CHECK_MESSAGE(fine, error.step);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("every reader of a pipe sees every block, whoever is slower") {
  constexpr uint32_t kBlocks = 2000;
  layer::BlockPipe pipe(sizeof(uint32_t), 3, 2);
  std::thread writer([&] {
    for (uint32_t number = 0; number < kBlocks; ++number) {
      const std::span<uint8_t> block = pipe.claim();
      memcpy(block.data(), &number, sizeof(number));
      pipe.publish(sizeof(number));
    }
    pipe.end(std::make_exception_ptr(layer::Failure{{EIO, "the end", ""}}));
  });
  std::atomic<int> failures{0};
  const auto read = [&](size_t reader) {
    uint32_t seen = 0;
    try {
      for (std::span<const uint8_t> block; !(block = pipe.next(reader)).empty(); ++seen) {
        uint32_t number = 0;
        memcpy(&number, block.data(), sizeof(number));
        if (number != seen) return;
        if (reader == seen % 2) std::this_thread::yield();
      }
    } catch (const layer::Failure&) {
      if (seen == kBlocks) ++failures;
    }
  };
  std::thread other(read, 1);
  read(0);
  other.join();
  writer.join();
  CHECK(failures == 2);
}
