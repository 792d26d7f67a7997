// What an image has at a path, and copies of it for its volumes.
#include "native/addon/layer_path.h"

#include <doctest/doctest.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "native/addon/layer_union.h"
#include "native/sys/fd.h"
#include "test/native/layer_fixture.h"

// Devices, owners and overlays are root's.
TEST_SUITE_BEGIN("layers" * doctest::skip(geteuid() != 0));

using namespace coracle;
using layer_fixture::Scratch;

namespace {

struct Found {
  LayerError error;
  LayerPathKind kind = LayerPathKind::kMissing;
};

Found look(const Scratch& scratch, const std::vector<std::string>& names, const std::string& path,
           const std::string& copy_to = "") {
  LayerPathOptions options;
  for (const std::string& name : names) options.layers.push_back((scratch.root / name).string());
  options.path = path;
  if (!copy_to.empty()) options.copy_to = (scratch.root / copy_to).string();
  options.cancelled = &scratch.cancelled;
  Found found;
  found.error = read_layer_path(options, &found.kind);
  return found;
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// Two layers: the upper one adds, replaces and removes.
void make_image(const Scratch& scratch) {
  write(scratch.root / "low/data/kept", "below");
  write(scratch.root / "low/data/gone", "below");
  write(scratch.root / "low/etc/passwd", "image");
  write(scratch.root / "top/data/kept", "above");
  REQUIRE(mknod((scratch.root / "top/data/gone").c_str(), S_IFCHR, 0) == 0);
  REQUIRE(symlink("/etc", (scratch.root / "top/absolute").c_str()) == 0);
  REQUIRE(symlink("../../../../etc/passwd", (scratch.root / "top/climbing").c_str()) == 0);
}

std::string attribute(const std::filesystem::path& path, const char* name) {
  char value[256];
  const ssize_t size = lgetxattr(path.c_str(), name, value, sizeof(value));
  return size < 0 ? "none" : std::string(value, static_cast<size_t>(size));
}

}  // namespace

TEST_CASE("paths are looked up in all layers, and in nothing else") {
  Scratch scratch;
  make_image(scratch);
  const std::vector<std::string> both = {"top", "low"};
  CHECK(look(scratch, both, "data").kind == LayerPathKind::kDirectory);
  CHECK(look(scratch, both, "/data/kept").kind == LayerPathKind::kOther);
  CHECK(look(scratch, both, "data/gone").kind == LayerPathKind::kMissing);
  CHECK(look(scratch, {"top"}, "data/gone").kind == LayerPathKind::kMissing);
  CHECK(look(scratch, both, "data/kept/x").kind == LayerPathKind::kMissing);
  CHECK(look(scratch, both, "absolute/passwd").kind == LayerPathKind::kOther);
  CHECK(look(scratch, {"top"}, "absolute").kind == LayerPathKind::kMissing);
  CHECK(look(scratch, both, "climbing").kind == LayerPathKind::kOther);
  CHECK(look(scratch, both, "../outside/file").kind == LayerPathKind::kMissing);
  CHECK(look(scratch, both, "/").kind == LayerPathKind::kDirectory);
  CHECK(look(scratch, {"absent"}, "/").error.step == "open layer");
}

TEST_CASE("a read-only union needs no upper directory, by either interface") {
  Scratch scratch;
  make_image(scratch);
  for (layer::UnionMethod method : {layer::UnionMethod::kBest, layer::UnionMethod::kThread}) {
    const Fd root =
        layer::open_union({{scratch.root / "top", scratch.root / "low"}, "", ""}, method);
    CHECK(faccessat(root.get(), "data/kept", F_OK, 0) == 0);
    CHECK(faccessat(root.get(), "data/gone", F_OK, 0) != 0);
    CHECK(openat(root.get(), "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
    CHECK(errno == EROFS);
  }
}

TEST_CASE("a copy is the merged directory with everything about its files") {
  Scratch scratch;
  make_image(scratch);
  const std::filesystem::path from = scratch.root / "top/data";
  write(from / "text", "0123456789");
  REQUIRE(link((from / "text").c_str(), (from / "again").c_str()) == 0);
  REQUIRE(symlink("/no/where", (from / "link").c_str()) == 0);
  REQUIRE(mkfifo((from / "fifo").c_str(), 0604) == 0);
  REQUIRE(mknod((from / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  write(from / "sub/set-id", "x");
  const int holes = open((from / "holes").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(pwrite(holes, "end", 3, 8 << 20) == 3);
  REQUIRE(ftruncate(holes, 16 << 20) == 0);
  close(holes);
  REQUIRE(setxattr((from / "text").c_str(), "user.note", "kept", 4, 0) == 0);
  REQUIRE(setxattr(from.c_str(), "trusted.overlay.opaque", "n", 1, 0) == 0);
  for (const char* name : {"text", "link", "sub/set-id"}) {
    REQUIRE(lchown((from / name).c_str(), 7, 8) == 0);
  }
  REQUIRE(chmod((from / "sub/set-id").c_str(), 06755) == 0);
  REQUIRE(chown(from.c_str(), 65534, 65533) == 0);
  REQUIRE(chmod(from.c_str(), 01750) == 0);
  const struct timespec times[2] = {{1, 2}, {1000000000, 123456789}};
  REQUIRE(utimensat(AT_FDCWD, from.c_str(), times, 0) == 0);

  for (const std::vector<std::string>& layers : {std::vector<std::string>{"top", "low"}, {"top"}}) {
    const Found found = look(scratch, layers, "/data", "copy");
    REQUIRE(found.error.step == "");
    CHECK(found.kind == LayerPathKind::kDirectory);
    const std::filesystem::path copy = scratch.root / "copy";
    const struct stat root = scratch.stat_of("copy");
    CHECK(root.st_uid == 65534);
    CHECK(root.st_gid == 65533);
    CHECK((root.st_mode & 07777) == 01750);
    CHECK(root.st_mtim.tv_sec == 1000000000);
    CHECK(root.st_mtim.tv_nsec == 123456789);
    CHECK(scratch.read("copy/kept") == "above");
    CHECK_FALSE(scratch.exists("copy/gone"));
    CHECK(scratch.read("copy/again") == "0123456789");
    CHECK(scratch.stat_of("copy/again").st_ino == scratch.stat_of("copy/text").st_ino);
    CHECK(scratch.stat_of("copy/text").st_nlink == 2);
    CHECK(attribute(copy / "text", "user.note") == "kept");
    CHECK(attribute(copy, "trusted.overlay.opaque") == "none");
    CHECK(std::filesystem::read_symlink(copy / "link") == "/no/where");
    CHECK(scratch.stat_of("copy/link").st_uid == 7);
    CHECK(S_ISFIFO(scratch.stat_of("copy/fifo").st_mode));
    CHECK(scratch.stat_of("copy/null").st_rdev == makedev(1, 3));
    CHECK((scratch.stat_of("copy/sub/set-id").st_mode & 07777) == 06755);
    CHECK(scratch.stat_of("copy/sub/set-id").st_gid == 8);
    const struct stat sparse = scratch.stat_of("copy/holes");
    CHECK(sparse.st_size == 16 << 20);
    CHECK(sparse.st_blocks * 512 < 1 << 20);
    CHECK(scratch.read("copy/holes").substr(8 << 20, 3) == "end");
    std::filesystem::remove_all(copy);
  }
}

TEST_CASE("what is no directory is not copied, and a cancelled copy says so") {
  Scratch scratch;
  make_image(scratch);
  CHECK(look(scratch, {"top", "low"}, "data/kept", "copy").kind == LayerPathKind::kOther);
  CHECK(look(scratch, {"top", "low"}, "none", "copy").kind == LayerPathKind::kMissing);
  CHECK_FALSE(scratch.exists("copy"));
  CHECK(look(scratch, {"top", "low"}, "data", "outside").error.code == EEXIST);
  scratch.cancelled = true;
  CHECK(look(scratch, {"top", "low"}, "data", "copy").error.code == ECANCELED);
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("a tree that is too deep is given up on") {
  Scratch scratch;
  std::filesystem::path path = scratch.root / "low/data";
  for (int depth = 0; depth < 300; ++depth) path /= "d";
  std::filesystem::create_directories(path);
  CHECK(look(scratch, {"low"}, "data", "copy").error.code == ELOOP);
}

TEST_SUITE_END();
