// Layers as libFuzzer makes them up: nothing outside the target may change, and no memory may be
// misused. Built with -DCORACLE_FUZZ=ON and clang; needs root, writes in $TMPDIR.
//
// The first byte chooses the compression, and whether there is a layer below. Header checksums are
// put right before use: else hardly any input would get past them.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "native/addon/apply_layer.h"

namespace {

namespace fs = std::filesystem;

void mend_checksums(std::string* tar) {
  for (size_t at = 0; at + 512 <= tar->size(); at += 512) {
    char* header = tar->data() + at;
    if (memcmp(header + 257, "ustar", 5) != 0) continue;
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(header[i]);
    snprintf(header + 148, 8, "%06o", sum);
  }
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

struct Places {
  fs::path root;

  Places() {
    std::string name = (fs::temp_directory_path() / "coracle-fuzz-XXXXXX").string();
    root = mkdtemp(name.data());
    fs::create_directories(root / "outside");
    write_file(root / "outside/file", "host");
    for (const char* below : {"base/usr/lib", "base/dir/sub"}) fs::create_directories(root / below);
    fs::create_directory_symlink("usr/lib", root / "base/lib");
    fs::create_directory_symlink("../../outside", root / "base/out");
    write_file(root / "base/usr/lib/x", "x");
    write_file(root / "base/file", "f");
  }
  ~Places() { fs::remove_all(root); }

  bool outside_is_intact() const {
    struct stat status {};
    const fs::path file = root / "outside/file";
    return stat(file.c_str(), &status) == 0 && status.st_nlink == 1 && status.st_size == 4 &&
           (status.st_mode & 07777) == 0644 && fs::file_size(root / "base/file") == 1 &&
           ++fs::directory_iterator(root / "outside") == fs::directory_iterator();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Places places;
  if (size < 1) return 0;
  umask(022);
  std::string blob(reinterpret_cast<const char*>(data) + 1, size - 1);
  coracle::ApplyLayerOptions options;
  options.compression = static_cast<coracle::Compression>((data[0] & 3) % 3);
  if (options.compression == coracle::Compression::kNone) mend_checksums(&blob);
  options.blob = (places.root / "blob").string();
  options.target = (places.root / "target").string();
  options.work = (places.root / "work").string();
  write_file(options.blob, blob);
  fs::create_directory(options.target);
  fs::create_directory(options.work);
  if (data[0] & 4) options.parents.push_back((places.root / "base").string());
  options.max_bytes = 8 << 20;
  options.max_entries = 200;
  coracle::ApplyLayerResult result;
  const coracle::LayerError error = coracle::apply_layer(options, &result);
  if (!error && result.diff_id.size() != 64) __builtin_trap();
  if (!places.outside_is_intact()) __builtin_trap();
  fs::remove_all(options.target);
  fs::remove_all(options.work);
  return 0;
}
