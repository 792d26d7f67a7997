#include "native/addon/layer_whiteout.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

constexpr size_t kPerName = 64;  // of the set, beside the characters

}  // namespace

size_t Whiteouts::wrote(std::string_view path) {
  if (path.empty()) return 0;
  std::string name = tree_->real_name() + "/" + std::string(base_name(path));
  const size_t bytes = name.size() + kPerName;
  return written_.insert(std::move(name)).second ? bytes : 0;
}

void Whiteouts::apply(std::string_view path) {
  std::string_view mark = base_name(path);
  bool opaque = mark == ".wh..wh..opq";
  if (!opaque && (mark.starts_with(".wh..wh.") || mark.size() == 4)) return;
  int directory = tree_->directory(parent_path(path), false);
  if (directory < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;  // nothing below to hide
    fail_errno("open directory", std::string(path));
  }
  const std::string above = tree_->real_name();
  // The tree's descriptor goes with forget(): removal works on a duplicate.
  Fd own(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) fail_errno("open directory", std::string(path));
  if (opaque) {
    remove_lower_children(own.get(), above);
  } else {
    std::string name(mark.substr(4));
    if (name == "." || name == "..") fail_data("a whiteout of \"..\"", std::string(path), EINVAL);
    remove_lower(own.get(), above, name);
  }
  tree_->forget();
}

void Whiteouts::remove_lower(int parent, const std::string& parent_name, const std::string& name) {
  std::string full = parent_name + "/" + name;
  if (!written_.contains(full)) {
    if (remove_tree(parent, name.c_str()) != 0) fail_errno("remove", full.substr(1));
    return;
  }
  Fd below(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (below) remove_lower_children(below.get(), full);
}

void Whiteouts::remove_lower_children(int directory, const std::string& name) {
  int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = copy < 0 ? nullptr : fdopendir(copy);
  if (!stream) {
    if (copy >= 0) close(copy);
    fail_errno("read directory", name.substr(1));
  }
  std::vector<std::string> names;
  while (dirent* entry = readdir(stream)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      names.emplace_back(entry->d_name);
    }
  }
  closedir(stream);
  for (const std::string& child : names) remove_lower(directory, name, child);
}

}  // namespace coracle::layer
