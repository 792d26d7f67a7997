#include "native/addon/layer_entry.h"

#include <archive_entry.h>
#include <sys/sysmacros.h>

#include <cstdint>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// trusted.* is overlay's own and other programs' business on the host, never an image's: a
// forged trusted.overlay.redirect would point a layer at its neighbour's files. user.overlay.*
// is the same for mounts with "userxattr".
// A label of the host's SELinux policy is for the host to give.
bool wanted_xattr(std::string_view name) {
  return !name.starts_with("trusted.") && !name.starts_with("user.overlay.") &&
         name != "security.selinux";
}

// chown(2) takes (uid_t)-1 for "as it is".
uid_t owner(la_int64_t id, const std::string& path) {
  if (id < 0 || id >= UINT32_MAX) {
    fail_data("an owner that is none: " + std::to_string(id), path, EINVAL);
  }
  return static_cast<uid_t>(id);
}

struct timespec time_of(la_int64_t seconds, long nanoseconds) {
  // libarchive (3.8 and before) reads pax's "-1.5" as -1 and half a second on.
  if (seconds < 0 && nanoseconds > 0) return {seconds - 1, 1'000'000'000 - nanoseconds};
  return {seconds, nanoseconds};
}

const char* text(const char* value) { return value ? value : ""; }

}  // namespace

Entry read_entry(archive_entry* source) {
  Entry entry;
  const char* name = archive_entry_pathname(source);
  if (!name) fail_data("an entry has no name", "");
  entry.path = clean_path(name);
  entry.mode = archive_entry_mode(source);
  if (const char* target = archive_entry_hardlink(source)) {
    entry.is_hardlink = true;
    entry.hardlink = clean_path(target);
  } else if (S_ISLNK(entry.mode)) {
    entry.symlink = text(archive_entry_symlink(source));
  }
  entry.uid = owner(archive_entry_uid(source), entry.path);
  entry.gid = owner(archive_entry_gid(source), entry.path);
  if (S_ISCHR(entry.mode) || S_ISBLK(entry.mode)) {
    entry.device = makedev(static_cast<unsigned>(archive_entry_rdevmajor(source)),
                           static_cast<unsigned>(archive_entry_rdevminor(source)));
  }
  la_int64_t size = archive_entry_size(source);
  entry.size = size > 0 ? static_cast<uint64_t>(size) : 0;
  entry.has_mtime = archive_entry_mtime_is_set(source) != 0;
  entry.mtime = time_of(archive_entry_mtime(source), archive_entry_mtime_nsec(source));
  archive_entry_xattr_reset(source);
  const char* key;
  const void* value;
  size_t length;
  while (archive_entry_xattr_next(source, &key, &value, &length) == 0) {
    if (!key || !wanted_xattr(key)) continue;
    entry.xattrs.emplace_back(key, std::string(static_cast<const char*>(value), length));
  }
  return entry;
}

}  // namespace coracle::layer
