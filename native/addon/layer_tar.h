// The entries of a layer's tar, read by libarchive: v7, ustar, pax and GNU, sparse files included.
#ifndef CORACLE_NATIVE_ADDON_LAYER_TAR_H_
#define CORACLE_NATIVE_ADDON_LAYER_TAR_H_

#include <exception>
#include <memory>
#include <span>
#include <string>

#include "native/addon/layer_entry.h"
#include "native/addon/layer_stream.h"

struct archive;

namespace coracle::layer {

class TarReader {
 public:
  // Both outlive the reader; `name` is the blob's, for messages.
  TarReader(LayerStream* stream, const std::string& name);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // The next entry; false at the end of the archive. Fails where the tar is damaged, where its
  // names or types are not what a layer may hold, and where extended headers and sparse maps of
  // one entry take more than 8 MiB: libarchive keeps them in memory.
  bool next(Entry* entry);

  // The next piece of the present entry's data and where in the file it belongs; false at its end.
  bool data(std::span<const char>* piece, off_t* offset);

 private:
  struct Free {
    void operator()(struct archive* reader) const;
  };
  static ssize_t pull(struct archive* reader, void* self, const void** block);
  [[noreturn]] void fail();

  LayerStream* stream_;
  const std::string& name_;
  std::unique_ptr<struct archive, Free> reader_;
  // Exceptions must not cross libarchive's C frames: they wait here.
  std::exception_ptr failure_;
  bool in_header_ = true;
  size_t header_bytes_ = 0;
  std::string path_;
};

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_TAR_H_
