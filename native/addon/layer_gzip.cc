#include <isa-l/igzip_lib.h>

#include <algorithm>

#include "native/addon/layer_decoder.h"
#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

class GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(BlobFile& blob) : blob_(blob), state_(std::make_unique<inflate_state>()) {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
    state_->avail_in = 0;
  }

  size_t read(std::span<uint8_t> into) override {
    state_->next_out = into.data();
    state_->avail_out = static_cast<uint32_t>(into.size());
    while (state_->avail_out == into.size()) {
      if (state_->avail_in == 0 && !ended_) refill();
      if (between_members_) {
        if (!open_member()) return 0;
        continue;
      }
      inflate();
    }
    return into.size() - state_->avail_out;
  }

 private:
  void refill() {
    std::span<const uint8_t> block = blob_.next();
    ended_ = block.empty();
    // isal_inflate does not write through next_in; its field is not const.
    state_->next_in = const_cast<uint8_t*>(block.data());
    state_->avail_in = static_cast<uint32_t>(block.size());
  }

  // True once a member has begun; false at the end of the blob. Bytes between members must be
  // zeros, the padding that tapes and block devices add.
  bool open_member() {
    const uint8_t* end = state_->next_in + state_->avail_in;
    const uint8_t* start = std::find_if(state_->next_in, const_cast<uint8_t*>(end),
                                        [](uint8_t byte) { return byte != 0; });
    bool padded = start != state_->next_in;
    state_->next_in = const_cast<uint8_t*>(start);
    state_->avail_in = static_cast<uint32_t>(end - start);
    padding_ = padding_ || padded;
    if (state_->avail_in == 0) {
      if (!ended_) return true;
      if (members_ == 0) fail_data("the gzip data is empty", blob_.path());
      return false;
    }
    if (padding_ || *start != 0x1f) fail_data("not gzip data", blob_.path());
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP;
    between_members_ = false;
    ++members_;
    return true;
  }

  void inflate() {
    uint32_t room = state_->avail_out;
    uint32_t input = state_->avail_in;
    int status = isal_inflate(state_.get());
    if (status < 0) {
      fail_data(status == ISAL_INCORRECT_CHECKSUM ? "the gzip checksum is wrong"
                                                  : "the gzip data is damaged",
                blob_.path());
    }
    if (state_->block_state == ISAL_BLOCK_FINISH) {
      between_members_ = true;
      return;
    }
    if (ended_ && state_->avail_out == room && state_->avail_in == input) {
      fail_data("the gzip data ends early", blob_.path());
    }
  }

  BlobFile& blob_;
  std::unique_ptr<inflate_state> state_;
  bool ended_ = false;
  bool between_members_ = true;
  bool padding_ = false;
  uint64_t members_ = 0;
};

}  // namespace

std::unique_ptr<Decoder> make_gzip_decoder(BlobFile& blob) {
  return std::make_unique<GzipDecoder>(blob);
}

}  // namespace coracle::layer
