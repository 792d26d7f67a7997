// One tar entry written into the tree.
#ifndef CORACLE_NATIVE_ADDON_LAYER_ENTRY_H_
#define CORACLE_NATIVE_ADDON_LAYER_ENTRY_H_

#include <sys/stat.h>
#include <time.h>

#include <string>
#include <utility>
#include <vector>

#include "native/addon/layer_tree.h"

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

class TarReader;

// Fails where names, owners or types are not what a layer may hold.
//
// Attributes come from SCHILY.xattr (GNU tar, Go, buildkit) and LIBARCHIVE.xattr; POSIX ACLs are
// taken where they come as the attributes system.posix_acl_*, not from the text of SCHILY.acl,
// whose user names are those of another host. Left out are attributes that are the host's
// business: trusted.*, user.overlay.* and security.selinux. User and group names are not looked at.
Entry read_entry(archive_entry* source);

// Makes the entry in the tree, replacing what is there unless both are directories. The data of
// a regular file comes from `tar`. What `finish_directory` does is the caller's to do, at the end.
void write_entry(Tree* tree, const Entry& entry, TarReader* tar);

// What can be done to a directory only when everything in it is there: its times, and the default
// ACL, which new files would inherit.
struct DirectoryEnd {
  bool has_mtime = false;
  struct timespec mtime {};
  std::string default_acl;
};

// What is missing by now, or is no directory any more, is skipped.
void finish_directory(Tree* tree, const std::string& path, const DirectoryEnd& end);

inline constexpr const char* kDefaultAcl = "system.posix_acl_default";

// Owner, attributes, mode and time of `name` in `parent`, in the order in which the kernel keeps
// them: chown(2) clears set-user-ID and capabilities.
void write_metadata(int parent, const std::string& name, const Entry& entry);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_ENTRY_H_
