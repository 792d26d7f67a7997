// Every property of a tree survives, as GNU tar restores it.
#include <doctest/doctest.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "test/native/layer_fixture.h"

// Unpacking sets owners and attributes that only root may set.
TEST_SUITE_BEGIN("layers" * doctest::skip(geteuid() != 0));

using namespace layer_fixture;

namespace {

// One line per name: type, mode, owner, device, time, links, size, target, attributes.
std::string describe(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> paths{root};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::ostringstream text;
  for (const auto& path : paths) {
    struct stat status {};
    REQUIRE(lstat(path.c_str(), &status) == 0);
    text << path.lexically_relative(root).string() << ' ' << std::oct << status.st_mode << std::dec
         << ' ' << status.st_uid << ':' << status.st_gid << ' ' << status.st_rdev << ' '
         << status.st_mtim.tv_sec << '.' << status.st_mtim.tv_nsec << ' ' << status.st_nlink;
    if (!S_ISDIR(status.st_mode)) text << ' ' << status.st_size;
    char names[4096];
    ssize_t size = llistxattr(path.c_str(), names, sizeof names);
    for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(strlen(names + at)) + 1) {
      char value[256];
      ssize_t length = lgetxattr(path.c_str(), names + at, value, sizeof value);
      text << ' ' << names + at << '='
           << std::hash<std::string_view>()(
                  {value, static_cast<size_t>(std::max<ssize_t>(length, 0))});
    }
    text << '\n';
  }
  return text.str();
}

}  // namespace

TEST_CASE("a tree comes out as GNU tar restores it") {
  Scratch scratch;
  std::filesystem::path tree = scratch.root / "tree";
  std::filesystem::create_directories(tree / "d/deep er");
  std::ofstream(tree / "d/f") << "data";
  std::ofstream(tree / "d/\xc3\xbc-\xe6\x97\xa5\xe6\x9c\xac") << "name";
  std::ofstream(tree / ("long-" + std::string(200, 'n'))) << "long";
  REQUIRE(link((tree / "d/f").c_str(), (tree / "hard").c_str()) == 0);
  REQUIRE(symlink("/no/where", (tree / "dangling").c_str()) == 0);
  std::ofstream(tree / "suid") << "x";
  REQUIRE(chown((tree / "suid").c_str(), 1234, 5678) == 0);
  REQUIRE(chmod((tree / "suid").c_str(), 06755) == 0);
  REQUIRE(mkfifo((tree / "fifo").c_str(), 0620) == 0);
  REQUIRE(mknod((tree / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  REQUIRE(chmod((tree / "null").c_str(), 0666) == 0);
  REQUIRE(setxattr((tree / "d/f").c_str(), "user.note", "v", 1, 0) == 0);
  // cap_net_raw=ep, revision 2 (linux/capability.h)
  constexpr char kCapability[] = "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0";
  REQUIRE(setxattr((tree / "suid").c_str(), "security.capability", kCapability, 20, 0) == 0);
  REQUIRE(truncate((tree / "d/f").c_str(), 1 << 20) == 0);
  struct timespec past[2] = {{981173106, 123456789}, {981173106, 123456789}};
  for (const char* name : {"dangling", "d/f", "d/deep er", "suid"}) {
    REQUIRE(utimensat(AT_FDCWD, (tree / name).c_str(), past, AT_SYMLINK_NOFOLLOW) == 0);
  }

  std::string tar = (scratch.root / "tree.tar").string();
  std::string flags = "tar --sparse --xattrs --xattrs-include='*' --format=pax ";
  REQUIRE(system((flags + "-C " + tree.string() + " -cf " + tar + " .").c_str()) == 0);
  std::filesystem::create_directory(scratch.root / "peer");
  REQUIRE(system((flags + "-C " + (scratch.root / "peer").string() + " -xpf " + tar).c_str()) == 0);

  REQUIRE_FALSE(scratch.apply("ours", scratch.read("tree.tar")));
  CHECK(describe(scratch.fs("ours")) == describe(scratch.root / "peer"));
  CHECK(scratch.read("ours/fs/d/f") == scratch.read("tree/d/f"));
  CHECK(scratch.stat_of("ours/fs/d/f").st_blocks < 64);
  CHECK(scratch.result.entries == 10);

  // And once more through a union.
  REQUIRE_FALSE(scratch.apply("base", tar_of({file("below")})));
  REQUIRE_FALSE(scratch.apply("top", scratch.read("tree.tar"), {"base"}));
  CHECK(scratch.stat_of("top/fs/suid").st_mode == (S_IFREG | 06755));
  CHECK(scratch.stat_of("top/fs/suid").st_uid == 1234);
  char value[64];
  CHECK(getxattr((scratch.root / "top/fs/suid").c_str(), "security.capability", value,
                 sizeof value) == 20);
  CHECK(scratch.stat_of("top/fs/dangling").st_mtim.tv_nsec == 123456789);
  CHECK(scratch.stat_of("top/fs/d/deep er").st_mtim.tv_nsec == 123456789);
}

TEST_CASE("names that are not UTF-8 are kept byte for byte") {
  Scratch scratch;
  std::filesystem::path tree = scratch.root / "tree";
  std::filesystem::create_directories(tree);
  std::ofstream(tree / "latin-\xfc") << "x";
  std::string tar = (scratch.root / "tree.tar").string();
  for (const char* format : {"gnu", "pax"}) {
    CAPTURE(format);
    REQUIRE(system(("tar --format=" + std::string(format) + " -C " + tree.string() + " -cf " + tar +
                    " .")
                       .c_str()) == 0);
    REQUIRE_FALSE(scratch.apply(format, scratch.read("tree.tar")));
    CHECK(scratch.read(std::string(format) + "/fs/latin-\xfc") == "x");
  }
}

TEST_CASE("parents that the tar does not list are made") {
  Scratch scratch;
  REQUIRE_FALSE(scratch.apply("a", tar_of({file("x/y/z"), symbolic("run", "var/run"),
                                           file("run/pid"), symbolic("l", "/m/n"), file("l/o")})));
  CHECK(scratch.read("a/fs/x/y/z") == "new");
  CHECK(scratch.read("a/fs/var/run/pid") == "new");
  CHECK(scratch.read("a/fs/m/n/o") == "new");
  CHECK((scratch.stat_of("a/fs/x").st_mode & 07777) == 0755);
}

TEST_CASE("a default ACL is the directory's, not that of what came with it") {
  Scratch scratch;
  // Version 2 (linux/posix_acl_xattr.h): owner rwx, user 77 r-x, group r-x, mask r-x, other r-x.
  const std::string acl(
      "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\5\0\x4d\0\0\0\4\0\5\0\xff\xff\xff\xff"
      "\x10\0\5\0\xff\xff\xff\xff\x20\0\5\0\xff\xff\xff\xff",
      44);
  Item shared = dir("shared");
  shared.xattrs = {{"system.posix_acl_default", acl}};
  REQUIRE_FALSE(scratch.apply("a", tar_of({shared, file("shared/f"), dir("shared/d")})));
  char value[64];
  const auto has = [&](const char* name, const char* attribute) {
    return getxattr((scratch.root / name).c_str(), attribute, value, sizeof value) > 0;
  };
  CHECK(has("a/fs/shared", "system.posix_acl_default"));
  CHECK_FALSE(has("a/fs/shared/f", "system.posix_acl_access"));
  CHECK_FALSE(has("a/fs/shared/d", "system.posix_acl_default"));
  CHECK((scratch.stat_of("a/fs/shared/f").st_mode & 07777) == 0644);
  CHECK(scratch.stat_of("a/fs/shared").st_mtim.tv_nsec == 123456789);
}
