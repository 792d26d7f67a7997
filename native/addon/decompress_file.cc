#include "native/addon/decompress_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "native/addon/layer_fail.h"
#include "native/addon/layer_stream.h"
#include "native/sys/fd.h"

namespace coracle {
namespace layer {
namespace {

void copy(const DecompressOptions& options, int fd) {
  LayerStream stream(
      {options.blob, options.compression, options.max_bytes, false, options.cancelled});
  while (true) {
    std::span<const uint8_t> block = stream.next();
    if (block.empty()) return;
    while (!block.empty()) {
      const ssize_t wrote = write(fd, block.data(), block.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail_errno("write", options.target);
      block = block.subspan(static_cast<size_t>(wrote));
    }
  }
}

void decompress(const DecompressOptions& options) {
  const Fd target(
      open(options.target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!target) fail_errno("create", options.target);
  try {
    copy(options, target.get());
  } catch (...) {
    unlink(options.target.c_str());
    throw;
  }
}

}  // namespace
}  // namespace layer

LayerError decompress_file(const DecompressOptions& options) {
  return layer::report("decompress: ", options.target, [&] { layer::decompress(options); });
}

}  // namespace coracle
