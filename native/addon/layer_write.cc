#include <archive.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "native/addon/layer_entry.h"
#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// Writes the data where it belongs: a sparse file gets its holes back.
void write_data(int fd, const Entry& entry, struct archive* data) {
  const void* block;
  size_t size;
  la_int64_t offset;
  int status;
  while ((status = archive_read_data_block(data, &block, &size, &offset)) != ARCHIVE_EOF) {
    if (status < ARCHIVE_WARN) {
      fail_data(std::string("damaged tar: ") + archive_error_string(data), entry.path);
    }
    const char* next = static_cast<const char*>(block);
    while (size > 0) {
      ssize_t wrote = pwrite(fd, next, size, offset);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail_errno("write", entry.path);
      next += wrote;
      offset += wrote;
      size -= static_cast<size_t>(wrote);
    }
  }
  struct stat status_now;
  if (fstat(fd, &status_now) != 0) fail_errno("stat", entry.path);
  if (static_cast<uint64_t>(status_now.st_size) < entry.size &&
      ftruncate(fd, static_cast<off_t>(entry.size)) != 0) {
    fail_errno("set file size", entry.path);
  }
}

void make_regular(int parent, const std::string& name, const Entry& entry, struct archive* data) {
  Fd fd(openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) fail_errno("create", entry.path);
  write_data(fd.get(), entry, data);
  if (fchown(fd.get(), entry.uid, entry.gid) != 0) fail_errno("chown", entry.path);
  for (const auto& [key, value] : entry.xattrs) {
    if (fsetxattr(fd.get(), key.c_str(), value.data(), value.size(), 0) != 0 &&
        errno != EOPNOTSUPP) {
      fail_errno("set attribute " + key, entry.path);
    }
  }
  if (fchmod(fd.get(), entry.mode & 07777) != 0) fail_errno("chmod", entry.path);
  struct timespec times[2] = {entry.mtime, entry.mtime};
  if (entry.has_mtime && futimens(fd.get(), times) != 0) fail_errno("set times", entry.path);
}

// A hard link's target is looked up like any name of the layer; its last component is the file
// itself, also where that is a symlink.
void make_hardlink(Tree* tree, const Entry& entry, const std::string& name) {
  if (entry.hardlink.empty()) fail_data("a hard link to the root", entry.path, EPERM);
  Fd from(tree->open_in_root(std::string(parent_path(entry.hardlink)), O_PATH | O_DIRECTORY));
  if (!from) fail_errno("open hard link target " + entry.hardlink, entry.path);
  int parent = tree->directory(parent_path(entry.path), true);
  if (parent < 0) fail_errno("open directory", entry.path);
  std::string target(base_name(entry.hardlink));
  if (linkat(from.get(), target.c_str(), parent, name.c_str(), 0) != 0) {
    fail_errno("hard link to " + entry.hardlink, entry.path);
  }
}

bool same_file(Tree* tree, const Entry& entry, const struct stat& there) {
  Fd from(tree->open_in_root(entry.hardlink, O_PATH | O_NOFOLLOW));
  struct stat status;
  return from && fstat(from.get(), &status) == 0 && status.st_ino == there.st_ino &&
         status.st_dev == there.st_dev;
}

void make_node(int parent, const std::string& name, const Entry& entry) {
  int status = -1;
  switch (entry.mode & S_IFMT) {
    case S_IFDIR:
      status = mkdirat(parent, name.c_str(), 0700);
      break;
    case S_IFLNK:
      status = symlinkat(entry.symlink.c_str(), parent, name.c_str());
      break;
    case S_IFIFO:
    case S_IFCHR:
    case S_IFBLK:
      status = mknodat(parent, name.c_str(), (entry.mode & S_IFMT) | 0600, entry.device);
      break;
    default:
      fail_data("an entry of an unknown type", entry.path, EINVAL);
  }
  if (status != 0) fail_errno("create", entry.path);
}

}  // namespace

void write_entry(Tree* tree, const Entry& entry, struct archive* data) {
  if (entry.path.empty()) {
    if (S_ISDIR(entry.mode)) write_metadata(tree->root(), ".", entry);
    return;
  }
  std::string name(base_name(entry.path));
  int parent = tree->directory(parent_path(entry.path), true);
  if (parent < 0) fail_errno("open directory", entry.path);

  struct stat there;
  bool exists = fstatat(parent, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT) fail_errno("stat", entry.path);
  bool directory = S_ISDIR(entry.mode) && !entry.is_hardlink;
  if (exists && directory && S_ISDIR(there.st_mode)) {
    write_metadata(parent, name, entry);
    return;
  }
  if (exists && entry.is_hardlink && same_file(tree, entry, there)) return;
  if (exists) {
    if (remove_tree(parent, name.c_str()) != 0) fail_errno("replace", entry.path);
    tree->forget();
    parent = tree->directory(parent_path(entry.path), true);
    if (parent < 0) fail_errno("open directory", entry.path);
  }
  // Overlay's own mark for "removed": a layer that carries it means the same.
  if (S_ISCHR(entry.mode) && entry.device == 0 && !entry.is_hardlink) return;
  if (entry.is_hardlink) return make_hardlink(tree, entry, name);
  if (S_ISREG(entry.mode)) return make_regular(parent, name, entry, data);
  make_node(parent, name, entry);
  write_metadata(parent, name, entry);
}

}  // namespace coracle::layer
