// One tar entry written into the tree.
#ifndef CORACLE_NATIVE_ADDON_LAYER_ENTRY_H_
#define CORACLE_NATIVE_ADDON_LAYER_ENTRY_H_

#include <sys/stat.h>
#include <time.h>

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "native/addon/layer_tree.h"

struct archive;
struct archive_entry;

namespace coracle::layer {

// What a tar says of one entry, in our own terms.
struct Entry {
  std::string path;      // cleaned; empty for the root
  std::string hardlink;  // cleaned; the entry is a hard link where `is_hardlink`
  bool is_hardlink = false;
  std::string symlink;
  mode_t mode = 0;  // with the type
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t device = 0;
  uint64_t size = 0;
  bool has_mtime = false;
  struct timespec mtime {};
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Fails where names or types are not what a layer may hold.
Entry read_entry(archive_entry* source);

// Makes the entry in the tree, replacing what is there unless both are directories. The data of
// a regular file comes from `data`. Directory times are the caller's to set, at the end.
void write_entry(Tree* tree, const Entry& entry, struct archive* data);

// Sets the times of a path without following a last symlink; what is missing by now, or is no
// directory any more, is skipped.
void set_directory_time(Tree* tree, const std::string& path, const struct timespec& mtime);

// Owner, attributes, mode and time of `name` in `parent`, in the order in which the kernel keeps
// them: chown(2) clears set-user-ID and capabilities.
void write_metadata(int parent, const std::string& name, const Entry& entry);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_ENTRY_H_
