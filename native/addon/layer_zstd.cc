#include <zstd.h>

#include <algorithm>
#include <array>

#include "native/addon/layer_decoder.h"
#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// Said, not left to the library: a frame may ask for 2 GiB, and a window is that much memory.
// 128 MiB is what zstd(1) accepts without --long (zstd --ultra -22 makes windows of that size).
constexpr int kMaxWindowLog = 27;

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Holds a frame to the size that it states. libzstd does (1.5.4), but for a last block that is
// empty in a frame that it does not get in one piece: what is damaged must not depend on that.
class FrameSize {
 public:
  // Bytes of the frame, as they are consumed, and how many came out of them.
  void count(std::span<const uint8_t> in, size_t out) {
    const size_t more = std::min(in.size(), header_.size() - seen_);
    std::copy_n(in.begin(), more, header_.begin() + static_cast<ptrdiff_t>(seen_));
    seen_ += more;
    made_ += out;
  }

  // Whether what came out is what was stated, if anything was; the object starts over.
  bool end() {
    const unsigned long long stated = ZSTD_getFrameContentSize(header_.data(), seen_);
    const bool open = stated == ZSTD_CONTENTSIZE_UNKNOWN || stated == ZSTD_CONTENTSIZE_ERROR;
    const bool right = open || stated == made_;
    seen_ = made_ = 0;
    return right;
  }

 private:
  std::array<uint8_t, 18> header_;  // as long as one may be: RFC 8878, section 3.1.1
  size_t seen_ = 0;
  uint64_t made_ = 0;
};

class ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(BlobFile& blob) : blob_(blob), context_(ZSTD_createDCtx()) {
    if (!context_) fail_data("zstd context", blob.path(), ENOMEM);
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  size_t read(std::span<uint8_t> into) override {
    ZSTD_outBuffer output{into.data(), into.size(), 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size && !flushing_) {
        std::span<const uint8_t> block = blob_.next();
        if (block.empty()) {
          if (pending_ != 0 || !any_) fail_data("the zstd data ends early", blob_.path());
          return 0;
        }
        any_ = true;
        input_ = {block.data(), block.size(), 0};
      }
      const size_t from = input_.pos;
      const size_t had = output.pos;
      pending_ = ZSTD_decompressStream(context_.get(), &output, &input_);
      if (ZSTD_isError(pending_)) {
        fail_data(std::string("the zstd data is damaged: ") + ZSTD_getErrorName(pending_),
                  blob_.path());
      }
      const auto* bytes = static_cast<const uint8_t*>(input_.src);
      frame_.count({bytes + from, input_.pos - from}, output.pos - had);
      if (pending_ == 0 && !frame_.end()) {
        fail_data("the zstd data is damaged: a frame is not as long as it states", blob_.path());
      }
      // A full output buffer may hide bytes that the context still holds.
      flushing_ = output.pos == output.size && pending_ != 0;
    }
    return output.pos;
  }

 private:
  BlobFile& blob_;
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  FrameSize frame_;
  size_t pending_ = 0;  // 0 exactly at the end of a frame
  bool flushing_ = false;
  bool any_ = false;
};

}  // namespace

std::unique_ptr<Decoder> make_zstd_decoder(BlobFile& blob) {
  return std::make_unique<ZstdDecoder>(blob);
}

}  // namespace coracle::layer
