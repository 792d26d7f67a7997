#include "native/addon/layer_stream.h"

#include <sys/prctl.h>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// Small enough that a block is still in a shared cache when the digest and the writer see it.
constexpr size_t kBlockBytes = 256 * 1024;
constexpr size_t kBlocks = 8;

constexpr size_t kCaller = 0;
constexpr size_t kHasher = 1;

}  // namespace

LayerStream::LayerStream(const StreamOptions& options)
    : options_(options),
      // The digest of an uncompressed blob is its diff id: once is enough.
      blob_(options.blob, options.digests && options.compression != Compression::kNone),
      decoder_(make_decoder(options.compression, blob_)),
      pipe_(kBlockBytes, kBlocks, options.digests ? 2 : 1) {
  decoding_ = std::thread([this] {
    prctl(PR_SET_NAME, "layer-decode");
    decode();
  });
  if (!options.digests) return;
  try {
    hashing_ = std::thread([this] {
      prctl(PR_SET_NAME, "layer-digest");
      hash();
    });
  } catch (...) {
    pipe_.abandon();
    decoding_.join();
    throw;
  }
}

LayerStream::~LayerStream() {
  pipe_.abandon();
  if (decoding_.joinable()) decoding_.join();
  if (hashing_.joinable()) hashing_.join();
}

void LayerStream::check_cancelled() const {
  if (options_.cancelled && options_.cancelled->load(std::memory_order_relaxed)) {
    fail_data("cancelled", options_.blob, ECANCELED);
  }
}

void LayerStream::decode() {
  try {
    uint64_t total = 0;
    while (true) {
      check_cancelled();
      const std::span<uint8_t> block = pipe_.claim();
      if (block.empty()) return;
      const size_t bytes = decoder_->read(block);
      if (bytes == 0) return pipe_.end(nullptr);
      total += bytes;
      if (total > options_.max_bytes) {
        fail_data("more than " + std::to_string(options_.max_bytes) + " bytes uncompressed",
                  options_.blob, EFBIG);
      }
      pipe_.publish(bytes);
    }
  } catch (...) {
    pipe_.end(std::current_exception());
  }
}

void LayerStream::hash() {
  try {
    Sha256 sha;
    while (true) {
      const std::span<const uint8_t> block = pipe_.next(kHasher);
      if (block.empty()) break;
      sha.update(block);
    }
    diff_id_ = sha.hex();
  } catch (...) {
    // What ended the stream reaches the caller's own next().
  }
}

std::span<const uint8_t> LayerStream::next() {
  check_cancelled();
  return pipe_.next(kCaller);
}

void LayerStream::finish() {
  while (!next().empty()) {
  }
  decoding_.join();
  if (!options_.digests) return;
  hashing_.join();
  digest_ = options_.compression == Compression::kNone ? diff_id_ : blob_.digest();
}

}  // namespace coracle::layer
