// Reads a blob and undoes its compression.
#ifndef CORACLE_NATIVE_ADDON_LAYER_DECODER_H_
#define CORACLE_NATIVE_ADDON_LAYER_DECODER_H_

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

// The blob's bytes as stored, in blocks, digested if asked for.
class BlobFile {
 public:
  BlobFile(const std::string& path, bool digested);
  // The next block; empty at the end. Valid until the next call.
  std::span<const uint8_t> next();
  // As much as fits; 0 at the end.
  size_t read(std::span<uint8_t> into);
  const std::string& path() const { return path_; }
  std::string digest() { return sha_.hex(); }

 private:
  std::string path_;
  Fd fd_;
  bool digested_;
  std::vector<uint8_t> buffer_;
  Sha256 sha_;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Fills `into`, at least in part, with uncompressed bytes; 0 at the true end of the blob. Fails
  // where the data is damaged or ends early.
  virtual size_t read(std::span<uint8_t> into) = 0;
};

std::unique_ptr<Decoder> make_decoder(Compression compression, BlobFile& blob);
// RFC 1952, any number of members (pigz, eStargz), zero padding after the last.
std::unique_ptr<Decoder> make_gzip_decoder(BlobFile& blob);
// RFC 8878, any number of frames, skippable ones too, windows up to 128 MiB.
std::unique_ptr<Decoder> make_zstd_decoder(BlobFile& blob);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_DECODER_H_
