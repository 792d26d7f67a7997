// Compressed blobs as libFuzzer makes them up: what comes out must not depend on how large the
// pieces are that it is read in, and ends. The first two bytes choose the format and a piece size.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "native/addon/layer_decoder.h"
#include "native/addon/layer_fail.h"

using namespace coracle;

namespace {

// Past this a blob is a bomb, which is for LayerStream to stop.
constexpr size_t kEnough = 32 << 10;

// Nothing where the blob is refused.
std::optional<std::string> decoded(const std::string& path, Compression compression,
                                   size_t piece_size) {
  try {
    layer::BlobFile blob(path, true);
    const auto decoder = layer::make_decoder(compression, blob);
    std::string text;
    while (text.size() < kEnough) {
      std::vector<uint8_t> piece(std::min(piece_size, kEnough - text.size()));
      const size_t count = decoder->read(piece);
      if (count == 0) break;
      if (count > piece.size()) __builtin_trap();
      text.append(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
    }
    return text;
  } catch (const layer::Failure&) {
    return {};
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("blob", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (size < 2) return 0;
  const Compression compression = (data[0] & 1) != 0 ? Compression::kZstd : Compression::kGzip;
  const auto count = static_cast<ssize_t>(size - 2);
  if (ftruncate(file, 0) != 0 || pwrite(file, data + 2, size - 2, 0) != count) return 0;
  const auto whole = decoded(path, compression, kEnough);
  const auto pieces = decoded(path, compression, data[1] + 1u);
  if (whole != pieces) __builtin_trap();
  return 0;
}
