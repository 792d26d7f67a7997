// The blob as a stream of uncompressed tar bytes, with both digests taken on the way.
#ifndef CORACLE_NATIVE_ADDON_LAYER_STREAM_H_
#define CORACLE_NATIVE_ADDON_LAYER_STREAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "native/addon/apply_layer.h"
#include "native/addon/layer_decoder.h"
#include "native/addon/layer_pipe.h"

namespace coracle::layer {

struct StreamOptions {
  std::string blob;
  Compression compression = Compression::kNone;
  uint64_t max_bytes = 0;  // uncompressed
  bool digests = true;
  const std::atomic<bool>* cancelled = nullptr;  // may be null
};

// Decompresses on one thread, digests on another, and hands out blocks on the caller's: on two
// processors a gzipped layer takes as long as the slower half of the work. Holds 2 MiB of blocks.
class LayerStream {
 public:
  // Opens the blob and starts the threads.
  explicit LayerStream(const StreamOptions& options);
  // Stops them, wherever they are.
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  // The next bytes; empty at the end. Valid until the next call. Fails where the data is damaged,
  // with EFBIG past max_bytes and with ECANCELED once the caller gave up.
  std::span<const uint8_t> next();

  // Reads what the tar reader left: padding and whatever follows the end marker counts for the
  // digests. Afterwards the digests are there.
  void finish();
  std::string digest() const { return digest_; }
  std::string diff_id() const { return diff_id_; }

 private:
  void decode();
  void hash();
  void check_cancelled() const;

  StreamOptions options_;
  BlobFile blob_;
  std::unique_ptr<Decoder> decoder_;
  BlockPipe pipe_;
  std::string digest_;
  std::string diff_id_;
  std::thread decoding_;
  std::thread hashing_;
};

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_STREAM_H_
