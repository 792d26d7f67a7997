#include "native/addon/layer_tar.h"

#include <archive.h>
#include <archive_entry.h>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// Bytes that one entry's headers may take. Honest ones stay below 100 KiB but for sparse maps, of
// which this is some 300,000 pieces.
constexpr size_t kMaxHeaderBytes = 8 << 20;

}  // namespace

void TarReader::Free::operator()(struct archive* reader) const { archive_read_free(reader); }

TarReader::TarReader(LayerStream* stream, const std::string& name)
    : stream_(stream), name_(name), reader_(archive_read_new()) {
  if (!reader_) fail_data("tar reader", name, ENOMEM);
  archive_read_support_format_tar(reader_.get());
  archive_read_support_format_empty(reader_.get());
  if (archive_read_open(reader_.get(), this, nullptr, pull, nullptr) != ARCHIVE_OK) fail();
}

TarReader::~TarReader() = default;

ssize_t TarReader::pull(struct archive* reader, void* self, const void** block) {
  TarReader* tar = static_cast<TarReader*>(self);
  try {
    if (tar->in_header_ && tar->header_bytes_ > kMaxHeaderBytes) {
      fail_data("the headers of one entry are too large", tar->name_, EFBIG);
    }
    const std::span<const uint8_t> bytes = tar->stream_->next();
    tar->header_bytes_ += bytes.size();
    *block = bytes.data();
    return static_cast<ssize_t>(bytes.size());
  } catch (...) {
    tar->failure_ = std::current_exception();
    archive_set_error(reader, EIO, "the blob cannot be read");
    return -1;
  }
}

void TarReader::fail() {
  // What stopped the blob is the cause of what libarchive then says.
  if (failure_) std::rethrow_exception(failure_);
  const char* text = archive_error_string(reader_.get());
  fail_data(std::string("damaged tar: ") + (text ? text : "unknown"),
            path_.empty() ? name_ : path_);
}

bool TarReader::next(Entry* entry) {
  // Data that nobody wanted is not part of the next header.
  std::span<const char> piece;
  off_t offset;
  if (!path_.empty()) {
    while (data(&piece, &offset)) {
    }
  }
  path_.clear();
  in_header_ = true;
  header_bytes_ = 0;
  struct archive_entry* found = nullptr;
  const int status = archive_read_next_header(reader_.get(), &found);
  in_header_ = false;
  if (status == ARCHIVE_EOF) return false;
  // A warning is about what the layer does not need: names in another encoding, user names.
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) fail();
  *entry = read_entry(found);
  path_ = entry->path.empty() ? "." : entry->path;
  return true;
}

bool TarReader::data(std::span<const char>* piece, off_t* offset) {
  const void* block;
  size_t size;
  la_int64_t at;
  const int status = archive_read_data_block(reader_.get(), &block, &size, &at);
  if (status == ARCHIVE_EOF) return false;
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) fail();
  *piece = {static_cast<const char*>(block), size};
  *offset = at;
  return true;
}

}  // namespace coracle::layer
