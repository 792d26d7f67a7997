#include <zstd.h>

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
      pending_ = ZSTD_decompressStream(context_.get(), &output, &input_);
      if (ZSTD_isError(pending_)) {
        fail_data(std::string("the zstd data is damaged: ") + ZSTD_getErrorName(pending_),
                  blob_.path());
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
  size_t pending_ = 0;  // 0 exactly at the end of a frame
  bool flushing_ = false;
  bool any_ = false;
};

}  // namespace

std::unique_ptr<Decoder> make_zstd_decoder(BlobFile& blob) {
  return std::make_unique<ZstdDecoder>(blob);
}

}  // namespace coracle::layer
