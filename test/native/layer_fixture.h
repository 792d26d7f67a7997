// Tars that no honest tool writes, and a directory to unpack them in.
#ifndef CORACLE_TEST_NATIVE_LAYER_FIXTURE_H_
#define CORACLE_TEST_NATIVE_LAYER_FIXTURE_H_

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "native/addon/apply_layer.h"

namespace layer_fixture {

struct Item {
  std::string name;
  mode_t type = S_IFREG;
  std::string data;  // content, or the target of a symlink
  std::string hardlink;
  mode_t mode = 0644;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

inline Item make(std::string name, mode_t type, mode_t mode, std::string data) {
  Item item;
  item.name = std::move(name);
  item.type = type;
  item.mode = mode;
  item.data = std::move(data);
  return item;
}
inline Item file(std::string name, std::string data = "new") {
  return make(std::move(name), S_IFREG, 0644, std::move(data));
}
inline Item dir(std::string name) { return make(std::move(name), S_IFDIR, 0755, ""); }
inline Item symbolic(std::string name, std::string to) {
  return make(std::move(name), S_IFLNK, 0777, std::move(to));
}
inline Item hard(std::string name, std::string to) {
  Item item = make(std::move(name), S_IFREG, 0644, "");
  item.hardlink = std::move(to);
  return item;
}

// `items` as a pax tar.
inline std::string tar_of(const std::vector<Item>& items) {
  std::vector<char> buffer(16 << 20);
  size_t used = 0;
  struct archive* writer = archive_write_new();
  archive_write_set_format_pax(writer);
  archive_write_set_bytes_per_block(writer, 0);
  archive_write_open_memory(writer, buffer.data(), buffer.size(), &used);
  for (const Item& item : items) {
    struct archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, item.name.c_str());
    archive_entry_set_mode(entry, item.type | item.mode);
    archive_entry_set_mtime(entry, 1000000000, 123456789);
    if (!item.hardlink.empty()) archive_entry_set_hardlink(entry, item.hardlink.c_str());
    if (item.type == S_IFLNK) archive_entry_set_symlink(entry, item.data.c_str());
    bool data = item.type == S_IFREG && item.hardlink.empty();
    archive_entry_set_size(entry, data ? static_cast<la_int64_t>(item.data.size()) : 0);
    for (const auto& [key, value] : item.xattrs) {
      archive_entry_xattr_add_entry(entry, key.c_str(), value.data(), value.size());
    }
    archive_write_header(writer, entry);
    if (data) archive_write_data(writer, item.data.data(), item.data.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  return std::string(buffer.data(), used);
}

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "coracle-layer-XXXXXX").string();
    root = mkdtemp(name.data());
    std::filesystem::create_directory(root / "outside");
    std::ofstream(root / "outside/file") << "host";
  }
  ~Scratch() { std::filesystem::remove_all(root); }

  // Applies the bytes as layer `name` on top of `parents` (names, topmost first).
  coracle::LayerError apply(const std::string& name, const std::string& blob,
                            const std::vector<std::string>& parents = {},
                            coracle::Compression compression = coracle::Compression::kNone) {
    std::filesystem::create_directories(root / name / "fs");
    std::filesystem::create_directories(root / name / "work");
    std::string path = (root / name / "blob").string();
    std::ofstream(path, std::ios::binary) << blob;
    coracle::ApplyLayerOptions options;
    options.blob = path;
    options.compression = compression;
    options.target = fs(name);
    options.work = (root / name / "work").string();
    for (const std::string& parent : parents) options.parents.push_back(fs(parent));
    options.max_bytes = max_bytes;
    options.max_entries = max_entries;
    options.cancelled = &cancelled;
    result = {};
    return coracle::apply_layer(options, &result);
  }

  std::string fs(const std::string& name) const { return (root / name / "fs").string(); }
  std::string read(const std::string& path) const {
    std::ostringstream text;
    text << std::ifstream(root / path, std::ios::binary).rdbuf();
    return text.str();
  }
  bool exists(const std::string& path) const {
    return std::filesystem::exists(std::filesystem::symlink_status(root / path));
  }
  struct stat stat_of(const std::string& path) const {
    struct stat status {};
    fstatat(AT_FDCWD, (root / path).c_str(), &status, AT_SYMLINK_NOFOLLOW);
    return status;
  }
  // Overlay's mark for a removed name.
  bool is_removed(const std::string& path) const {
    struct stat status = stat_of(path);
    return S_ISCHR(status.st_mode) && status.st_rdev == 0;
  }
  // What is outside has not been touched.
  bool outside_is_intact() const {
    int names = 0;
    for (const auto& entry : std::filesystem::directory_iterator(root / "outside")) {
      (void)entry;
      ++names;
    }
    return names == 1 && read("outside/file") == "host" && stat_of("outside/file").st_nlink == 1;
  }

  std::filesystem::path root;
  uint64_t max_bytes = 64 << 20;
  uint64_t max_entries = 10000;
  std::atomic<bool> cancelled = false;
  coracle::ApplyLayerResult result;
};

}  // namespace layer_fixture

#endif  // CORACLE_TEST_NATIVE_LAYER_FIXTURE_H_
