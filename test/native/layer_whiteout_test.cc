// Layers on top of layers.
#include <doctest/doctest.h>
#include <sys/mount.h>

#include "native/addon/layer_fail.h"
#include "native/addon/layer_union.h"
#include "test/native/layer_fixture.h"

// Unpacking sets owners and attributes that only root may set.
TEST_SUITE_BEGIN("layers" * doctest::skip(geteuid() != 0));

using namespace layer_fixture;

namespace {

Scratch& with_base(Scratch& scratch) {
  REQUIRE_FALSE(scratch.apply(
      "base", tar_of({dir("usr"), dir("usr/lib"), symbolic("lib", "usr/lib"),
                      file("usr/lib/old", "old"), file("gone"), dir("tree"), file("tree/a"),
                      dir("tree/sub"), file("tree/sub/b"), file("plain")})));
  return scratch;
}

}  // namespace

TEST_CASE("a whiteout removes the name below and leaves overlay's mark") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(scratch.apply(
      "top", tar_of({file(".wh.gone", ""), file("tree/.wh.sub", ""), file(".wh.missing", "")}),
      {"base"}));
  CHECK(scratch.is_removed("top/fs/gone"));
  CHECK(scratch.is_removed("top/fs/tree/sub"));
  CHECK_FALSE(scratch.exists("top/fs/tree/a"));
  CHECK_FALSE(scratch.exists("top/fs/.wh.gone"));
  CHECK_FALSE(scratch.exists("top/fs/missing"));
  CHECK(scratch.read("base/fs/gone") == "new");
}

TEST_CASE("a whiteout spares what its own layer brings, in any order") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(
      scratch.apply("before", tar_of({file("gone", "again"), file(".wh.gone", "")}), {"base"}));
  CHECK(scratch.read("before/fs/gone") == "again");
  REQUIRE_FALSE(
      scratch.apply("after", tar_of({file(".wh.gone", ""), file("gone", "again")}), {"base"}));
  CHECK(scratch.read("after/fs/gone") == "again");
}

TEST_CASE("an opaque directory shows its own layer's entries alone") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(scratch.apply(
      "top", tar_of({file("tree/mine"), file("tree/.wh..wh..opq", ""), file("tree/late")}),
      {"base"}));
  CHECK(scratch.read("top/fs/tree/mine") == "new");
  CHECK(scratch.read("top/fs/tree/late") == "new");
  CHECK(scratch.is_removed("top/fs/tree/a"));
  CHECK(scratch.is_removed("top/fs/tree/sub"));
}

TEST_CASE("an opaque mark spares files that came through a symlinked name of the directory") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(
      scratch.apply("top", tar_of({file("lib/mine"), file("usr/lib/.wh..wh..opq", "")}), {"base"}));
  CHECK(scratch.read("top/fs/usr/lib/mine") == "new");
  CHECK(scratch.is_removed("top/fs/usr/lib/old"));
}

TEST_CASE("a symlinked directory of a lower layer takes the entry") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(
      scratch.apply("top", tar_of({file("lib/added"), file("lib/.wh.old", "")}), {"base"}));
  CHECK(scratch.read("top/fs/usr/lib/added") == "new");
  CHECK(scratch.is_removed("top/fs/usr/lib/old"));
  CHECK_FALSE(scratch.exists("top/fs/lib"));
}

TEST_CASE("a file replaces a directory of a lower layer, and the reverse") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(
      scratch.apply("top", tar_of({file("tree"), dir("plain"), file("plain/x")}), {"base"}));
  CHECK(scratch.read("top/fs/tree") == "new");
  CHECK(scratch.read("top/fs/plain/x") == "new");
}

TEST_CASE("whiteouts of the lowest layer and other aufs names mean nothing") {
  Scratch scratch;
  REQUIRE_FALSE(scratch.apply("base", tar_of({file("a"), file(".wh.a", ""), file(".wh..wh.plnk"),
                                              file(".wh..wh..opq", "")})));
  CHECK(scratch.read("base/fs/a") == "new");
  CHECK(scratch.result.entries == 2);
}

TEST_CASE("hard links to a lower layer's file copy it up") {
  Scratch scratch;
  with_base(scratch);
  REQUIRE_FALSE(scratch.apply("top", tar_of({hard("again", "plain")}), {"base"}));
  CHECK(scratch.read("top/fs/again") == "new");
  CHECK(scratch.stat_of("top/fs/again").st_ino == scratch.stat_of("top/fs/plain").st_ino);
}

TEST_CASE("the root keeps the mode of the layer below") {
  Scratch scratch;
  Item root = dir("./");
  root.mode = 0711;
  REQUIRE_FALSE(scratch.apply("base", tar_of({root, file("a")})));
  REQUIRE_FALSE(scratch.apply("top", tar_of({file("b")}), {"base"}));
  CHECK((scratch.stat_of("top/fs").st_mode & 07777) == 0711);
}

TEST_CASE("the union can be made in a thread's namespace, and leaves no mount") {
  Scratch scratch;
  with_base(scratch);
  for (auto method : {coracle::layer::UnionMethod::kBest, coracle::layer::UnionMethod::kThread}) {
    std::filesystem::path top = scratch.root / std::to_string(static_cast<int>(method));
    std::filesystem::create_directories(top / "u,p:per");
    std::filesystem::create_directories(top / "work");
    {
      coracle::Fd root = coracle::layer::open_union(
          {{scratch.fs("base")}, (top / "u,p:per").string(), (top / "work").string()}, method);
      REQUIRE(root);
      CHECK(faccessat(root.get(), "usr/lib/old", F_OK, 0) == 0);
      REQUIRE(mkdirat(root.get(), "made", 0755) == 0);
      REQUIRE(unlinkat(root.get(), "gone", 0) == 0);
    }
    CHECK(std::filesystem::is_directory(top / "u,p:per/made"));
    CHECK(scratch.is_removed(std::to_string(static_cast<int>(method)) + "/u,p:per/gone"));
    CHECK(std::ifstream("/proc/self/mounts").good());
    std::ostringstream mounts;
    mounts << std::ifstream("/proc/self/mounts").rdbuf();
    CHECK(mounts.str().find(scratch.root.string()) == std::string::npos);
  }
}

TEST_CASE("many layers with long names make one union") {
  Scratch scratch;
  std::string pad(120, 'n');
  std::vector<std::string> names;
  for (int i = 0; i < 60; ++i) {
    std::string name = pad + "/" + pad + std::to_string(i);
    REQUIRE_FALSE(scratch.apply(name, tar_of({file("f" + std::to_string(i))}),
                                names.empty() ? names : std::vector<std::string>{names.front()}));
    names.insert(names.begin(), name);
  }
  REQUIRE_FALSE(scratch.apply("top", tar_of({file(".wh.f0", ""), file(".wh.f59", "")}), names));
  CHECK(scratch.is_removed("top/fs/f0"));
  CHECK(scratch.is_removed("top/fs/f59"));
}
