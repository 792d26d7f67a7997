#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "native/addon/layer_entry.h"
#include "native/addon/layer_fail.h"
#include "native/addon/layer_tar.h"

namespace coracle::layer {
namespace {

constexpr mode_t kPermissions = 0777;
constexpr mode_t kAllModeBits = 07777;

// Writes the data where it belongs: a sparse file gets its holes back.
void write_data(int fd, const Entry& entry, TarReader* tar) {
  std::span<const char> piece;
  off_t offset;
  while (tar->data(&piece, &offset)) {
    while (!piece.empty()) {
      const ssize_t wrote = pwrite(fd, piece.data(), piece.size(), offset);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail_errno("write", entry.path);
      piece = piece.subspan(static_cast<size_t>(wrote));
      offset += wrote;
    }
  }
}

// Owner and mode are set only where the new file does not have them yet: most files of most
// images are root's, and have the mode that they were created with.
void finish_regular(int fd, const Entry& entry) {
  struct stat now;
  if (fstat(fd, &now) != 0) fail_errno("stat", entry.path);
  if (static_cast<uint64_t>(now.st_size) < entry.size &&
      ftruncate(fd, static_cast<off_t>(entry.size)) != 0) {
    fail_errno("set file size", entry.path);
  }
  if ((now.st_uid != entry.uid || now.st_gid != entry.gid) &&
      fchown(fd, entry.uid, entry.gid) != 0) {
    fail_errno("chown", entry.path);
  }
  for (const auto& [key, value] : entry.xattrs) {
    if (fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) != 0 && errno != EOPNOTSUPP) {
      fail_errno("set attribute " + key, entry.path);
    }
  }
  // An access ACL has its own idea of the group's permissions.
  const bool as_created = (now.st_mode & kAllModeBits) == (entry.mode & kAllModeBits);
  if ((!as_created || !entry.xattrs.empty()) && fchmod(fd, entry.mode & kAllModeBits) != 0) {
    fail_errno("chmod", entry.path);
  }
  const struct timespec times[2] = {entry.mtime, entry.mtime};
  if (entry.has_mtime && futimens(fd, times) != 0) fail_errno("set times", entry.path);
}

// A hard link's target is looked up like any name of the layer; its last component is the file
// itself, also where that is a symlink.
int make_hardlink(const Tree& tree, int parent, const std::string& name, const Entry& entry) {
  if (entry.hardlink.empty()) fail_data("a hard link to the root", entry.path, EPERM);
  Fd from(tree.open_in_root(std::string(parent_path(entry.hardlink)), O_PATH | O_DIRECTORY));
  if (!from) fail_errno("open hard link target " + entry.hardlink, entry.path);
  const std::string target(base_name(entry.hardlink));
  const int status = linkat(from.get(), target.c_str(), parent, name.c_str(), 0);
  if (status != 0 && errno != EEXIST) fail_errno("hard link to " + entry.hardlink, entry.path);
  return status;
}

bool same_file(const Tree& tree, const Entry& entry, const struct stat& there) {
  Fd from(tree.open_in_root(entry.hardlink, O_PATH | O_NOFOLLOW));
  struct stat status;
  return from && fstat(from.get(), &status) == 0 && status.st_ino == there.st_ino &&
         status.st_dev == there.st_dev;
}

// Makes the name, which must not be there; -1 and errno. `*file` receives a new regular file.
int make_name(const Tree& tree, int parent, const std::string& name, const Entry& entry, Fd* file) {
  if (entry.is_hardlink) return make_hardlink(tree, parent, name, entry);
  switch (entry.mode & S_IFMT) {
    case S_IFREG:
      file->reset(openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                         entry.mode & kPermissions));
      return *file ? 0 : -1;
    case S_IFDIR:
      return mkdirat(parent, name.c_str(), 0700);
    case S_IFLNK:
      return symlinkat(entry.symlink.c_str(), parent, name.c_str());
    case S_IFIFO:
    case S_IFCHR:
    case S_IFBLK:
      return mknodat(parent, name.c_str(), (entry.mode & S_IFMT) | 0600, entry.device);
    default:
      fail_data("an entry of an unknown type", entry.path, EINVAL);
  }
}

// Overlay's own mark for "removed": a layer that carries it means the same.
bool is_overlay_whiteout(const Entry& entry) {
  return S_ISCHR(entry.mode) && entry.device == 0 && !entry.is_hardlink;
}

// Removes what has the name; true where it may stay, since it is what the entry makes.
bool clear_name(const Tree& tree, int parent, const std::string& name, const Entry& entry,
                bool* removed) {
  struct stat there;
  if (fstatat(parent, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    fail_errno("stat", entry.path);
  }
  if (entry.is_hardlink) {
    if (!S_ISDIR(there.st_mode) && same_file(tree, entry, there)) return true;
  } else if (S_ISDIR(entry.mode) && S_ISDIR(there.st_mode)) {
    return true;
  }
  if (remove_tree(parent, name.c_str()) != 0) fail_errno("replace", entry.path);
  *removed = true;
  return false;
}

}  // namespace

void write_entry(Tree* tree, const Entry& entry, TarReader* tar) {
  if (entry.path.empty()) {
    if (S_ISDIR(entry.mode)) write_metadata(tree->root(), ".", entry);
    return;
  }
  const std::string name(base_name(entry.path));
  // Looked up once: what is replaced may be a symlink that the name itself went through.
  const int parent = tree->directory(parent_path(entry.path), true);
  if (parent < 0) fail_errno("open directory", entry.path);
  bool removed = false;
  if (is_overlay_whiteout(entry)) {
    clear_name(*tree, parent, name, entry, &removed);
    if (removed) tree->forget();
    return;
  }
  Fd file;
  if (make_name(*tree, parent, name, entry, &file) != 0) {
    if (errno != EEXIST) fail_errno("create", entry.path);
    if (!clear_name(*tree, parent, name, entry, &removed) &&
        make_name(*tree, parent, name, entry, &file) != 0) {
      fail_errno("create", entry.path);
    }
  }
  if (file) {
    write_data(file.get(), entry, tar);
    finish_regular(file.get(), entry);
  } else if (!entry.is_hardlink) {
    write_metadata(parent, name, entry);
  }
  if (removed) tree->forget();
}

}  // namespace coracle::layer
