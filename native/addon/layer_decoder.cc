#include "native/addon/layer_decoder.h"

#include <fcntl.h>

#include <array>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

constexpr size_t kBlobBlock = 256 * 1024;

class PlainDecoder : public Decoder {
 public:
  explicit PlainDecoder(BlobFile& blob) : blob_(blob) {}
  size_t read(std::span<uint8_t> into) override { return blob_.read(into); }

 private:
  BlobFile& blob_;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(Compression compression, BlobFile& blob) {
  switch (compression) {
    case Compression::kGzip:
      return make_gzip_decoder(blob);
    case Compression::kZstd:
      return make_zstd_decoder(blob);
    case Compression::kNone:
      break;
  }
  return std::make_unique<PlainDecoder>(blob);
}

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

BlobFile::BlobFile(const std::string& path, bool digested) : path_(path), digested_(digested) {
  fd_.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_) fail_errno("open blob", path);
  posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
}

size_t BlobFile::read(std::span<uint8_t> into) {
  ssize_t got;
  do {
    got = ::read(fd_.get(), into.data(), into.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) fail_errno("read blob", path_);
  if (digested_) sha_.update(into.first(static_cast<size_t>(got)));
  return static_cast<size_t>(got);
}

std::span<const uint8_t> BlobFile::next() {
  buffer_.resize(kBlobBlock);
  return {buffer_.data(), read(buffer_)};
}

}  // namespace coracle::layer
