#include "native/launch/resolve.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "native/sys/fd.h"

using namespace coracle;
namespace fs = std::filesystem;

namespace {

// A root beside a directory that must stay untouched.
struct Tree {
  fs::path base, root, outside;
  Fd fd;
  ParentDirectory parent;

  Tree() {
    char name[] = "/tmp/coracle-resolve-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    base = name, root = base / "root", outside = base / "outside";
    fs::create_directories(root);
    fs::create_directories(outside);
    fd = Fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~Tree() { fs::remove_all(base); }

  void link(const char* at, const std::string& content) {
    fs::create_directories((root / at).parent_path());
    fs::create_symlink(content, root / at);
  }
  bool target(const char* path, TargetKind kind = TargetKind::kDirectory) {
    return static_cast<bool>(Fd(make_target(fd.get(), path, kind, parent)));
  }
};

}  // namespace

TEST_CASE("missing parents and the last component are made") {
  Tree tree;
  REQUIRE(tree.target("/a/b/c"));
  CHECK(fs::is_directory(tree.root / "a/b/c"));
  REQUIRE(tree.target("/a//x/./file/", TargetKind::kFile));
  CHECK(fs::is_regular_file(tree.root / "a/x/file"));
  REQUIRE(tree.target("/"));
}

TEST_CASE("what exists is used as it is") {
  Tree tree;
  REQUIRE(tree.target("/f", TargetKind::kFile));
  CHECK(tree.target("/f", TargetKind::kDirectory));  // the mount itself refuses the mixture
  CHECK_FALSE(tree.target("/f/below"));
  CHECK(errno == ENOTDIR);
}

TEST_CASE("links out of the root stay inside it") {
  Tree tree;
  tree.link("absolute", tree.outside.string());
  tree.link("upwards", "../../../../../../.." + tree.outside.string());
  tree.link("up/dot", "../../../outside");
  for (const char* path : {"/absolute/x", "/upwards/x", "/up/dot/x"}) {
    CHECK(tree.target(path));
    CHECK(tree.target(path));
  }
  CHECK(fs::is_empty(tree.outside));
  CHECK(fs::is_directory(tree.root / "outside/x"));
  CHECK(fs::is_directory(fs::path(tree.root.string() + tree.outside.string()) / "x"));
}

TEST_CASE("a dangling link has its destination made") {
  Tree tree;
  tree.link("var/run", "/run");
  REQUIRE(tree.target("/var/run/secrets/token", TargetKind::kFile));
  CHECK(fs::is_regular_file(tree.root / "run/secrets/token"));
  tree.link("etc/resolv.conf", "../run/resolve/stub.conf");
  REQUIRE(tree.target("/etc/resolv.conf", TargetKind::kFile));
  CHECK(fs::is_regular_file(tree.root / "run/resolve/stub.conf"));
  tree.link("chain", "chain2");
  tree.link("chain2", "made");
  REQUIRE(tree.target("/chain/below"));
  CHECK(fs::is_directory(tree.root / "made/below"));
}

TEST_CASE("loops and magic links are refused") {
  Tree tree;
  tree.link("loop", "loop2");
  tree.link("loop2", "loop");
  CHECK_FALSE(tree.target("/loop/x"));
  CHECK(errno == ELOOP);
  tree.link("grow", "grow/grow");
  CHECK_FALSE(tree.target("/grow"));
  CHECK(errno == ELOOP);
  Fd host(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  CHECK(open_in_root(host.get(), "/proc/self/root/etc", O_PATH) == -1);
  CHECK(errno == ELOOP);
}

TEST_CASE("a parent and its name are separated") {
  Tree tree;
  ParentDirectory& parent = tree.parent;
  REQUIRE(parent.find(tree.fd.get(), "/dev/null"));
  CHECK(std::string(parent.name()) == "null");
  CHECK(fs::is_directory(tree.root / "dev"));
  CHECK_FALSE(parent.find(tree.fd.get(), "/"));
  CHECK_FALSE(parent.find(tree.fd.get(), ("/" + std::string(256, 'n')).c_str()));
  CHECK(errno == ENAMETOOLONG);
}

TEST_CASE("a parent stays open for its next entry, and for no other directory's") {
  Tree tree;
  ParentDirectory& parent = tree.parent;
  REQUIRE(parent.find(tree.fd.get(), "/dev/null"));
  const int dev = parent.fd();
  CHECK(parent.holds("/dev/zero"));
  REQUIRE(parent.find(tree.fd.get(), "/dev/zero"));
  CHECK(parent.fd() == dev);
  CHECK(std::string(parent.name()) == "zero");
  for (const char* other : {"/dev/pts/0", "/dev", "/devices", "/"})
    CHECK_FALSE(parent.holds(other));
  REQUIRE(parent.find(tree.fd.get(), "/dev/pts/0"));
  CHECK(std::string(parent.name()) == "0");
  CHECK(fs::is_directory(tree.root / "dev/pts"));
  CHECK_FALSE(parent.find(tree.fd.get(), "/"));
  CHECK_FALSE(parent.holds("/dev/pts/1"));
  const std::string deep = "/" + std::string(150, 'a') + "/" + std::string(150, 'b') + "/";
  REQUIRE(parent.find(tree.fd.get(), (deep + "c").c_str()));
  CHECK_FALSE(parent.holds((deep + "d").c_str()));
}

TEST_CASE("a parent is kept where the target of a mount is new, and else forgotten") {
  Tree tree;
  REQUIRE(tree.target("/cgroup/cpu"));
  CHECK(tree.parent.holds("/cgroup/cpu"));
  REQUIRE(tree.target("/cgroup/memory"));
  CHECK(tree.parent.holds("/cgroup/cpu"));
  REQUIRE(tree.target("/cgroup/cpu"));  // it may hold what is mounted over it later
  CHECK_FALSE(tree.parent.holds("/cgroup/cpu"));
  REQUIRE(tree.target("/cgroup"));
  CHECK_FALSE(tree.parent.holds("/cgroup"));
}

TEST_CASE("a link beside new targets leads where it leads without them") {
  Tree tree;
  tree.link("etc/hosts", "/run/hosts");
  tree.link("etc/hostname", (tree.outside / "hostname").string());
  REQUIRE(tree.target("/etc/resolv.conf", TargetKind::kFile));
  REQUIRE(tree.parent.holds("/etc/hosts"));
  REQUIRE(tree.target("/etc/hosts", TargetKind::kFile));
  CHECK(fs::is_regular_file(tree.root / "run/hosts"));
  REQUIRE(tree.target("/etc/passwd", TargetKind::kFile));
  REQUIRE(tree.target("/etc/hostname", TargetKind::kFile));
  CHECK(fs::is_empty(tree.outside));
}

TEST_CASE("directories are made with their mode, and once") {
  Tree tree;
  mode_t before = umask(0);
  bool made = false;
  REQUIRE(make_directories(tree.fd.get(), "/a/b", 0700, &made));
  CHECK(made);
  struct stat entry;
  REQUIRE(stat((tree.root / "a/b").c_str(), &entry) == 0);
  CHECK((entry.st_mode & 07777) == 0700);
  REQUIRE(make_directories(tree.fd.get(), "/a/b", 0755, &made));
  CHECK_FALSE(made);
  REQUIRE(tree.target("/file", TargetKind::kFile));
  CHECK_FALSE(make_directories(tree.fd.get(), "/file", 0755, &made));
  CHECK(errno == ENOTDIR);
  umask(before);
}
