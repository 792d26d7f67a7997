#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

#include <map>

#include "native/addon/apply_layer.h"
#include "native/addon/layer_entry.h"
#include "native/addon/layer_fail.h"
#include "native/addon/layer_stream.h"
#include "native/addon/layer_tar.h"
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

// Names that are kept until the layer's end may take so much memory: those of a million entries.
constexpr size_t kMaxKeptBytes = 256 << 20;
constexpr size_t kPerDirectory = 128;  // of the map, beside the characters

class Applier {
 public:
  Applier(const ApplyLayerOptions& options, int root, bool has_lower)
      : options_(options),
        stream_({options.blob, options.compression, options.max_bytes, true, options.cancelled}),
        tree_(root, options.max_entries),
        whiteouts_(&tree_),
        has_lower_(has_lower) {}

  void run(ApplyLayerResult* result) {
    TarReader tar(&stream_, options_.blob);
    Entry entry;
    for (uint64_t entries = 1; tar.next(&entry); ++entries) {
      if (entries > options_.max_entries) {
        fail_data("more than " + std::to_string(options_.max_entries) + " entries", options_.blob,
                  EFBIG);
      }
      apply_entry(entry, &tar);
    }
    stream_.finish();
    for (const auto& [path, end] : directories_) finish_directory(&tree_, path, end);
    result->digest = stream_.digest();
    result->diff_id = stream_.diff_id();
  }

 private:
  void apply_entry(const Entry& entry, TarReader* tar) {
    if (options_.cancelled && options_.cancelled->load(std::memory_order_relaxed)) {
      fail_data("cancelled", options_.blob, ECANCELED);
    }
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
    write_entry(&tree_, entry, tar);
    if (has_lower_) keep(whiteouts_.wrote(entry.path));
    if (S_ISDIR(entry.mode) && !entry.is_hardlink) defer(entry);
  }

  void defer(const Entry& entry) {
    DirectoryEnd end{entry.has_mtime, entry.mtime, {}};
    for (const auto& [key, value] : entry.xattrs) {
      if (key == kDefaultAcl) end.default_acl = value;
    }
    const size_t bytes = entry.path.size() + end.default_acl.size() + kPerDirectory;
    directories_[entry.path] = std::move(end);
    keep(bytes);
  }

  void keep(size_t bytes) {
    kept_ += bytes;
    if (kept_ > kMaxKeptBytes) fail_data("too many and too long names", options_.blob, EFBIG);
  }

  const ApplyLayerOptions& options_;
  LayerStream stream_;
  Tree tree_;
  Whiteouts whiteouts_;
  bool has_lower_;
  uint64_t declared_ = 0;
  size_t kept_ = 0;
  std::map<std::string, DirectoryEnd> directories_;
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
  return layer::report("unpack layer: ", options.target, [&] { layer::apply(options, result); });
}

}  // namespace coracle
