#include "native/addon/layer_stream.h"

#include <fcntl.h>

#include <array>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

constexpr size_t kBlobBlock = 256 * 1024;

class PlainDecoder : public Decoder {
 public:
  explicit PlainDecoder(BlobFile& blob) : blob_(blob) {}
  std::span<const uint8_t> next() override { return blob_.next(); }

 private:
  BlobFile& blob_;
};

std::unique_ptr<Decoder> make_decoder(Compression compression, BlobFile& blob) {
  switch (compression) {
    case Compression::kGzip:
      return make_gzip_decoder(blob);
    case Compression::kZstd:
      return make_zstd_decoder(blob);
    case Compression::kNone:
      break;
  }
  return make_plain_decoder(blob);
}

}  // namespace

std::string Sha256::hex() {
  std::array<uint8_t, SHA256_DIGEST_SIZE> raw;
  sha256_digest(&state_, raw.size(), raw.data());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * raw.size());
  for (uint8_t byte : raw) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

BlobFile::BlobFile(const std::string& path) : path_(path), buffer_(kBlobBlock) {
  fd_.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_) fail_errno("open blob", path);
  posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
}

std::span<const uint8_t> BlobFile::next() {
  ssize_t got;
  do {
    got = read(fd_.get(), buffer_.data(), buffer_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) fail_errno("read blob", path_);
  std::span<const uint8_t> block(buffer_.data(), static_cast<size_t>(got));
  sha_.update(block);
  return block;
}

std::unique_ptr<Decoder> make_plain_decoder(BlobFile& blob) {
  return std::make_unique<PlainDecoder>(blob);
}

LayerStream::LayerStream(const ApplyLayerOptions& options)
    : options_(options), blob_(options.blob), decoder_(make_decoder(options.compression, blob_)) {}

std::span<const uint8_t> LayerStream::next() {
  if (options_.cancelled && options_.cancelled->load(std::memory_order_relaxed)) {
    fail_data("cancelled", options_.blob, ECANCELED);
  }
  std::span<const uint8_t> block = decoder_->next();
  bytes_ += block.size();
  if (bytes_ > options_.max_bytes) {
    fail_data("more than " + std::to_string(options_.max_bytes) + " bytes uncompressed",
              options_.blob, EFBIG);
  }
  sha_.update(block);
  return block;
}

void LayerStream::drain() {
  while (!next().empty()) {
  }
}

}  // namespace coracle::layer
