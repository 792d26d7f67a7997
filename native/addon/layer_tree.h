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
  // `root` is an O_PATH directory, or what fsmount(2) returned; the caller keeps it open.
  explicit Tree(int root) : root_(root) {}

  int root() const { return root_; }

  // openat2(2) below the root; -1 and errno.
  int open_in_root(const std::string& path, int flags) const;

  // A descriptor of the directory `path`, owned by the tree and valid until the next call.
  // `create` makes what is missing, mode 0755, also where a symlink dangles. -1 and errno.
  int directory(std::string_view path, bool create);

  // To be called whenever a name has been removed or replaced: a descriptor that was kept may
  // lead to what is no longer in the tree.
  void forget() { cached_.reset(); }

 private:
  int make_directory(const std::string& path, int links_left);

  int root_;
  Fd cached_;
  std::string cached_path_;
};

// Removes `name` in `parent` with all that is below; a missing name is no error. Mounts are not
// crossed: nothing can be mounted on a tree that no other process sees. -1 and errno.
int remove_tree(int parent, const char* name);

// Fills `*bytes` and `*inodes` for everything below and including `root`; a file with several
// names counts once. -1 and errno.
int measure_tree(int root, uint64_t* bytes, uint64_t* inodes);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_TREE_H_
