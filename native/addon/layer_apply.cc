#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

#include <exception>
#include <map>
#include <memory>

#include "native/addon/apply_layer.h"
#include "native/addon/layer_entry.h"
#include "native/addon/layer_fail.h"
#include "native/addon/layer_stream.h"
#include "native/addon/layer_tree.h"
#include "native/addon/layer_union.h"
#include "native/addon/layer_whiteout.h"

namespace coracle {
namespace layer {
namespace {

// libarchive converts the UTF-8 names of pax headers to the locale's encoding. The process's
// locale is not ours to set: this one is the thread's.
class Utf8Thread {
 public:
  Utf8Thread() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_) before_ = uselocale(locale_);
  }
  ~Utf8Thread() {
    if (!locale_) return;
    uselocale(before_);
    freelocale(locale_);
  }
  Utf8Thread(const Utf8Thread&) = delete;
  Utf8Thread& operator=(const Utf8Thread&) = delete;

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

struct FreeArchive {
  void operator()(struct archive* reader) const { archive_read_free(reader); }
};

// Lets libarchive pull from the stream. Exceptions must not cross its C frames: they wait here.
struct Source {
  LayerStream stream;
  std::exception_ptr failure;

  static la_ssize_t read(struct archive* reader, void* self, const void** block) {
    Source* source = static_cast<Source*>(self);
    try {
      std::span<const uint8_t> bytes = source->stream.next();
      *block = bytes.data();
      return static_cast<la_ssize_t>(bytes.size());
    } catch (...) {
      source->failure = std::current_exception();
      archive_set_error(reader, EIO, "the blob cannot be read");
      return -1;
    }
  }
};

class Applier {
 public:
  Applier(const ApplyLayerOptions& options, int root, bool has_lower)
      : options_(options),
        source_{LayerStream(options), nullptr},
        tree_(root),
        whiteouts_(&tree_),
        has_lower_(has_lower) {}

  void run(ApplyLayerResult* result) {
    try {
      read_entries();
    } catch (const Failure&) {
      // What stopped the blob is the cause of what libarchive then says.
      if (source_.failure) std::rethrow_exception(source_.failure);
      throw;
    }
    source_.stream.drain();
    for (const auto& [path, mtime] : directory_times_) set_directory_time(&tree_, path, mtime);
    result->digest = source_.stream.digest();
    result->diff_id = source_.stream.diff_id();
  }

 private:
  void read_entries() {
    std::unique_ptr<struct archive, FreeArchive> reader(archive_read_new());
    if (!reader) fail_data("tar reader", options_.blob, ENOMEM);
    archive_read_support_format_tar(reader.get());
    archive_read_support_format_empty(reader.get());
    if (archive_read_open(reader.get(), &source_, nullptr, Source::read, nullptr) != ARCHIVE_OK) {
      fail_tar(reader.get());
    }
    struct archive_entry* next;
    int status;
    uint64_t entries = 0;
    while ((status = archive_read_next_header(reader.get(), &next)) != ARCHIVE_EOF) {
      if (status < ARCHIVE_WARN) fail_tar(reader.get());
      if (++entries > options_.max_entries) {
        fail_data("more than " + std::to_string(options_.max_entries) + " entries", options_.blob,
                  EFBIG);
      }
      one_entry(read_entry(next), reader.get());
    }
  }

  void one_entry(const Entry& entry, struct archive* data) {
    if (is_whiteout(entry.path)) {
      if (has_lower_) whiteouts_.apply(entry.path);
      return;
    }
    if (S_ISREG(entry.mode) && !entry.is_hardlink) {
      // A sparse file may declare what its tar does not hold.
      declared_ += entry.size;
      if (entry.size > options_.max_bytes || declared_ > options_.max_bytes) {
        fail_data("more than " + std::to_string(options_.max_bytes) + " bytes of files", entry.path,
                  EFBIG);
      }
    }
    write_entry(&tree_, entry, data);
    if (has_lower_) whiteouts_.wrote(entry.path);
    if (S_ISDIR(entry.mode) && !entry.is_hardlink && entry.has_mtime) {
      directory_times_[entry.path] = entry.mtime;
    }
  }

  [[noreturn]] void fail_tar(struct archive* reader) {
    const char* text = archive_error_string(reader);
    fail_data(std::string("damaged tar: ") + (text ? text : "unknown"), options_.blob);
  }

  const ApplyLayerOptions& options_;
  Source source_;
  Tree tree_;
  Whiteouts whiteouts_;
  bool has_lower_;
  uint64_t declared_ = 0;
  std::map<std::string, struct timespec> directory_times_;
};

// The root of an overlay looks like its upper directory: it starts as the root below it was.
void copy_root(int target, const std::string& parent) {
  struct stat below;
  if (stat(parent.c_str(), &below) != 0) fail_errno("stat layer", parent);
  struct timespec times[2] = {below.st_mtim, below.st_mtim};
  if (fchown(target, below.st_uid, below.st_gid) != 0 ||
      fchmod(target, below.st_mode & 07777) != 0 || futimens(target, times) != 0) {
    fail_errno("copy the root's mode", parent);
  }
}

void apply(const ApplyLayerOptions& options, ApplyLayerResult* result) {
  Utf8Thread locale;
  Fd target(open(options.target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target) fail_errno("open target", options.target);
  if (options.parents.empty()) {
    if (fchmod(target.get(), 0755) != 0) fail_errno("chmod", options.target);
    Applier(options, target.get(), false).run(result);
  } else {
    copy_root(target.get(), options.parents.front());
    Fd root = open_union({options.parents, options.target, options.work});
    Applier(options, root.get(), true).run(result);
  }
  if (syncfs(target.get()) != 0) fail_errno("sync", options.target);
  if (measure_tree(target.get(), &result->size, &result->entries) != 0) {
    fail_errno("measure", options.target);
  }
}

}  // namespace
}  // namespace layer

LayerError apply_layer(const ApplyLayerOptions& options, ApplyLayerResult* result) {
  try {
    layer::apply(options, result);
    return {};
  } catch (const layer::Failure& failure) {
    return failure.error;
  } catch (const std::exception& failure) {
    return {ENOMEM, std::string("unpack layer: ") + failure.what(), options.target};
  }
}

}  // namespace coracle
