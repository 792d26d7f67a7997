// The blob as a stream of uncompressed tar bytes, with both digests taken on the way.
#ifndef CORACLE_NATIVE_ADDON_LAYER_STREAM_H_
#define CORACLE_NATIVE_ADDON_LAYER_STREAM_H_

#include <nettle/sha2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "native/addon/apply_layer.h"
#include "native/sys/fd.h"

namespace coracle::layer {

class Sha256 {
 public:
  Sha256() { sha256_init(&state_); }
  void update(std::span<const uint8_t> bytes) {
    sha256_update(&state_, bytes.size(), bytes.data());
  }
  // Ends the digest; the object starts over.
  std::string hex();

 private:
  sha256_ctx state_;
};

// The blob's bytes as stored, in blocks, digested.
class BlobFile {
 public:
  explicit BlobFile(const std::string& path);
  // The next block; empty at the end. Valid until the next call.
  std::span<const uint8_t> next();
  const std::string& path() const { return path_; }
  std::string digest() { return sha_.hex(); }

 private:
  std::string path_;
  Fd fd_;
  std::vector<uint8_t> buffer_;
  Sha256 sha_;
};

// Turns blob blocks into tar blocks.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // The next block of uncompressed bytes; empty at the true end of the blob. Valid until the
  // next call. Fails where the data is damaged or ends early.
  virtual std::span<const uint8_t> next() = 0;
};

std::unique_ptr<Decoder> make_plain_decoder(BlobFile& blob);
// RFC 1952, any number of members (pigz, eStargz), zero padding after the last.
std::unique_ptr<Decoder> make_gzip_decoder(BlobFile& blob);
// RFC 8878, any number of frames, windows up to 128 MiB.
std::unique_ptr<Decoder> make_zstd_decoder(BlobFile& blob);

class LayerStream {
 public:
  explicit LayerStream(const ApplyLayerOptions& options);
  // Fails with EFBIG past max_bytes and with ECANCELED once the caller gave up.
  std::span<const uint8_t> next();
  // Reads what the tar reader left: padding and whatever follows the end marker counts for the
  // digests.
  void drain();
  std::string digest() { return blob_.digest(); }
  std::string diff_id() { return sha_.hex(); }

 private:
  const ApplyLayerOptions& options_;
  BlobFile blob_;
  std::unique_ptr<Decoder> decoder_;
  Sha256 sha_;
  uint64_t bytes_ = 0;
};

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_STREAM_H_
