#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "native/addon/layer_tree.h"

namespace coracle::layer {
namespace {

struct CloseDir {
  DIR* dir;
  ~CloseDir() {
    if (dir) closedir(dir);
  }
};

// Opens a directory without following a symlink; the stream owns the descriptor.
DIR* open_directory(int parent, const char* name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return nullptr;
  DIR* dir = fdopendir(fd);
  if (!dir) close(fd);
  return dir;
}

bool is_dot(const char* name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

int measure(DIR* dir, std::set<std::pair<dev_t, ino_t>>* linked, uint64_t* bytes,
            uint64_t* inodes) {
  int fd = dirfd(dir);
  while (true) {
    errno = 0;
    dirent* entry = readdir(dir);
    if (!entry) return errno == 0 ? 0 : -1;
    if (is_dot(entry->d_name)) continue;
    struct stat status;
    if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 &&
        !linked->insert({status.st_dev, status.st_ino}).second) {
      continue;
    }
    ++*inodes;
    *bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    if (!S_ISDIR(status.st_mode)) continue;
    CloseDir below{open_directory(fd, entry->d_name)};
    if (!below.dir || measure(below.dir, linked, bytes, inodes) != 0) return -1;
  }
}

}  // namespace

int remove_tree(int parent, const char* name) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return -1;
  // A directory of an overlay that only hides what is below can't be told from a full one by
  // rmdir: look inside.
  CloseDir dir{open_directory(parent, name)};
  if (!dir.dir) return -1;
  // Deleting while reading may skip entries (readdir(3) leaves it open), so go round until a
  // pass finds nothing.
  for (bool found = true; found;) {
    found = false;
    rewinddir(dir.dir);
    while (dirent* entry = readdir(dir.dir)) {
      if (is_dot(entry->d_name)) continue;
      found = true;
      if (remove_tree(dirfd(dir.dir), entry->d_name) != 0) return -1;
    }
  }
  return unlinkat(parent, name, AT_REMOVEDIR);
}

int measure_tree(int root, uint64_t* bytes, uint64_t* inodes) {
  struct stat status;
  if (fstat(root, &status) != 0) return -1;
  *bytes = static_cast<uint64_t>(status.st_blocks) * 512;
  *inodes = 1;
  std::set<std::pair<dev_t, ino_t>> linked;
  CloseDir dir{open_directory(root, ".")};
  return dir.dir ? measure(dir.dir, &linked, bytes, inodes) : -1;
}

}  // namespace coracle::layer
