// Paths inside the tree that receives a layer. Nothing here leaves it: every name is resolved by
// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS against the tree's root.
#ifndef CORACLE_NATIVE_ADDON_LAYER_TREE_H_
#define CORACLE_NATIVE_ADDON_LAYER_TREE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "native/sys/fd.h"

namespace coracle::layer {

// A name as a tar gives it, made relative: "a/b" of "./a//b/", "/a/b" and "../a/b". Empty for
// the root itself. A ".." inside stays, since what it means depends on symlinks. Fails with
// ENAMETOOLONG past 4,095 bytes, 255 a component or 256 components, with EINVAL for a last "..".
std::string clean_path(std::string_view name);

// The last component, and what comes before it.
std::string_view base_name(std::string_view path);
std::string_view parent_path(std::string_view path);

class Tree {
 public:
  // `root` is an O_PATH directory, or what fsmount(2) returned; the caller keeps it open. At most
  // `max_made` directories are made because a name needs them.
  Tree(int root, uint64_t max_made);

  int root() const { return root_; }

  // openat2(2) below the root; -1 and errno.
  int open_in_root(const std::string& path, int flags) const;

  // A descriptor of the directory `path`, owned by the tree and valid until the next call.
  // `create` makes what is missing, mode 0755, also where a symlink dangles. -1 and errno:
  // ENAMETOOLONG for a directory that is more than 256 deep, by whatever symlinks it is reached.
  int directory(std::string_view path, bool create);

  // The real name of what directory() has just returned, symlinks resolved: empty for the root,
  // else with a leading slash. Where there is no /proc, the name that was asked for.
  const std::string& real_name() const { return real_name_; }

  // To be called whenever a name has been removed or replaced: a descriptor that was kept may
  // lead to what is no longer in the tree.
  void forget() { cached_.reset(); }

 private:
  int make_directory(const std::string& path, int links_left);
  int make_one(int above, const std::string& name, const std::string& path);
  static std::string follow(int parent, const std::string& name, std::string_view directory);
  bool find_real_name(int fd, std::string_view fallback, std::string* name) const;

  int root_;
  uint64_t may_make_;
  std::string root_name_;  // in /proc/self/fd
  Fd cached_;
  std::string cached_path_;
  std::string cached_name_;
  std::string real_name_;
};

// Removes `name` in `parent` with all that is below; a missing name is no error. Mounts are not
// crossed: nothing can be mounted on a tree that no other process sees. -1 and errno.
int remove_tree(int parent, const char* name);

// Fills `*bytes` and `*inodes` for everything below and including `root`; a file with several
// names counts once. -1 and errno.
int measure_tree(int root, uint64_t* bytes, uint64_t* inodes);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_TREE_H_
