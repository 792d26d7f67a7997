// Layers that try to reach the host, or to eat it.
#include <doctest/doctest.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "test/native/layer_fixture.h"
#include "test/native/raw_tar.h"

// Unpacking sets owners and attributes that only root may set.
TEST_SUITE_BEGIN("layers" * doctest::skip(geteuid() != 0));

using namespace layer_fixture;

TEST_CASE("names that climb out stay inside the tree") {
  Scratch scratch;
  std::string outside = (scratch.root / "outside").string();
  REQUIRE_FALSE(scratch.apply(
      "a", tar_of({file("../../outside/file"), file("/abs"), file("x/../../../../outside/made")})));
  CHECK(scratch.read("a/fs/outside/file") == "new");
  CHECK(scratch.read("a/fs/abs") == "new");
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("symlinked directories are followed inside the tree alone") {
  Scratch scratch;
  std::string outside = (scratch.root / "outside").string();
  REQUIRE_FALSE(scratch.apply(
      "a", tar_of({symbolic("abs", outside), symbolic("rel", "../../outside"), file("abs/file"),
                   file("rel/made"), symbolic("loop1", ".."), file("loop1/loop1/loop1/kept")})));
  CHECK(scratch.read("a/fs" + outside + "/file") == "new");
  CHECK(scratch.read("a/fs/outside/made") == "new");
  CHECK(scratch.read("a/fs/kept") == "new");
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("a file replaces a symlink instead of being written through it") {
  Scratch scratch;
  std::string outside = (scratch.root / "outside/file").string();
  REQUIRE_FALSE(scratch.apply("a", tar_of({symbolic("f", outside), file("f"), symbolic("d", "/etc"),
                                           dir("d"), file("d/x")})));
  CHECK(S_ISREG(scratch.stat_of("a/fs/f").st_mode));
  CHECK(S_ISDIR(scratch.stat_of("a/fs/d").st_mode));
  CHECK(scratch.read("a/fs/d/x") == "new");
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("hard links reach no file of the host") {
  Scratch scratch;
  std::string outside = (scratch.root / "outside/file").string();
  coracle::LayerError error = scratch.apply("a", tar_of({hard("h", outside)}));
  CHECK(error.code == ENOENT);
  CHECK(error.path == "h");
  error = scratch.apply("b", tar_of({symbolic("out", "../../outside"), hard("h", "out/file")}));
  CHECK(error.code == ENOENT);
  // A link to a symlink is another name of the symlink.
  REQUIRE_FALSE(scratch.apply("c", tar_of({symbolic("s", outside), hard("h", "s")})));
  CHECK(S_ISLNK(scratch.stat_of("c/fs/h").st_mode));
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("a hard link to itself keeps the file") {
  Scratch scratch;
  REQUIRE_FALSE(scratch.apply("a", tar_of({file("f", "kept"), hard("f", "f")})));
  CHECK(scratch.read("a/fs/f") == "kept");
}

TEST_CASE("names past the limits are refused") {
  Scratch scratch;
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  CHECK(scratch.apply("a", tar_of({file(deep + "f")})).code == ENAMETOOLONG);
  CHECK(scratch.apply("b", tar_of({file(std::string(300, 'n'))})).code == ENAMETOOLONG);
  CHECK(scratch.apply("c", tar_of({file("d/..")})).code == EINVAL);
}

TEST_CASE("sizes and counts past the limits are refused") {
  Scratch scratch;
  scratch.max_entries = 2;
  coracle::LayerError error = scratch.apply("a", tar_of({file("1"), file("2"), file("3")}));
  CHECK(error.code == EFBIG);
  CHECK(error.step == "unpack layer: more than 2 entries");
  scratch.max_bytes = 4096;
  CHECK(scratch.apply("b", tar_of({file("big", std::string(8192, 'x'))})).code == EFBIG);
}

TEST_CASE("a cancelled layer stops") {
  Scratch scratch;
  scratch.cancelled = true;
  CHECK(scratch.apply("a", tar_of({file("f")})).code == ECANCELED);
}

TEST_CASE("attributes that steer overlay are dropped") {
  Scratch scratch;
  Item forged = dir("d");
  forged.xattrs = {{"trusted.overlay.redirect", "/other"},
                   {"trusted.overlay.opaque", "y"},
                   {"user.overlay.opaque", "y"}};
  REQUIRE_FALSE(scratch.apply("a", tar_of({forged, make("n", S_IFCHR, 0, "")})));
  CHECK(listxattr((scratch.root / "a/fs/d").c_str(), nullptr, 0) == 0);
  CHECK_FALSE(scratch.exists("a/fs/n"));
}

TEST_CASE("what is not a tar, or half of one, is refused") {
  Scratch scratch;
  CHECK(scratch.apply("a", std::string(2048, 'z')).step.starts_with("unpack layer: damaged tar"));
  std::string half = tar_of({file("f", std::string(100000, 'x'))}).substr(0, 50000);
  CHECK(scratch.apply("b", half).step.starts_with("unpack layer: damaged tar"));
}

TEST_CASE("a damaged header in the middle is refused") {
  Scratch scratch;
  std::string tar = raw_tar::header("a", '0', raw_tar::octal(0)) +
                    raw_tar::header("b", '0', raw_tar::octal(0)) + std::string(1024, '\0');
  tar[512] = 'c';  // the checksum is still that of "b"
  CHECK(scratch.apply("a", tar).step.starts_with("unpack layer: damaged tar"));
}

TEST_CASE("whiteouts of what is no name are refused, or mean nothing") {
  Scratch scratch;
  REQUIRE_FALSE(scratch.apply("base", tar_of({dir("a"), file("a/kept"), file("kept")})));
  for (const char* name : {".wh...", ".wh..", "a/.wh...", "a/.wh.."}) {
    CAPTURE(name);
    CHECK(scratch.apply("top", tar_of({file(name, "")}), {"base"}).code == EINVAL);
  }
  REQUIRE_FALSE(scratch.apply("none", tar_of({file(".wh.", ""), file("a/.wh.", "")}), {"base"}));
  CHECK_FALSE(scratch.exists("none/fs/kept"));
  CHECK_FALSE(scratch.exists("none/fs/a"));
  CHECK(scratch.read("base/fs/a/kept") == "new");
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("whiteouts follow symlinks inside the tree alone") {
  Scratch scratch;
  REQUIRE_FALSE(scratch.apply("base", tar_of({symbolic("out", "../../outside"),
                                              symbolic("abs", (scratch.root / "outside").string()),
                                              file("outside/file")})));
  REQUIRE_FALSE(scratch.apply(
      "top", tar_of({file("out/.wh.file", ""), file("abs/.wh..wh..opq", "")}), {"base"}));
  CHECK(scratch.is_removed("top/fs/outside/file"));
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("a directory that becomes a symlink between two entries leads nowhere else") {
  Scratch scratch;
  std::string outside = (scratch.root / "outside").string();
  REQUIRE_FALSE(
      scratch.apply("a", tar_of({dir("d"), file("d/one"), symbolic("d", outside), file("d/two"),
                                 hard("d/three", "d/two"), dir("d"), file("d/four")})));
  CHECK(scratch.read("a/fs" + outside + "/two") == "new");
  CHECK(scratch.read("a/fs" + outside + "/three") == "new");
  CHECK(scratch.read("a/fs/d/four") == "new");
  CHECK_FALSE(scratch.exists("a/fs/d/one"));
  CHECK(scratch.outside_is_intact());
}

TEST_CASE("devices are kept, and other names of them") {
  Scratch scratch;
  const std::string zero = raw_tar::octal(0);
  std::string node = raw_tar::header("null", '3', zero);
  node.replace(329, 7, "0000001");
  node.replace(337, 7, "0000003");
  raw_tar::sum_up(&node);
  std::string link = raw_tar::header("again", '1', zero);
  link.replace(157, 4, "null");
  raw_tar::sum_up(&link);
  REQUIRE_FALSE(scratch.apply("a", node + link + std::string(1024, '\0')));
  CHECK(S_ISCHR(scratch.stat_of("a/fs/null").st_mode));
  CHECK(scratch.stat_of("a/fs/null").st_rdev == makedev(1, 3));
  CHECK(scratch.stat_of("a/fs/again").st_ino == scratch.stat_of("a/fs/null").st_ino);
}

TEST_CASE("an owner that means \"as it is\" to chown is refused") {
  Scratch scratch;
  std::string tar = raw_tar::header("f", '0', raw_tar::octal(0));
  tar.replace(108, 8, std::string("\x80\0\0\0\xff\xff\xff\xff", 8));
  raw_tar::sum_up(&tar);
  const coracle::LayerError error = scratch.apply("a", tar + std::string(1024, '\0'));
  CHECK(error.code == EINVAL);
  CHECK(error.step == "unpack layer: an owner that is none: 4294967295");
}
