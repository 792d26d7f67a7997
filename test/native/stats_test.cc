// What is read of running pods: batches of files, trees, processes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "native/addon/count_processes.h"
#include "native/addon/measure_tree.h"
#include "native/addon/read_files.h"
#include "native/sys/fd.h"

namespace coracle {
namespace {

namespace fs = std::filesystem;

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/coracle-stats-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  // fs::remove_all follows names from the top and fails on paths beyond PATH_MAX.
  ~TempDir() { (void)!system(("rm -rf " + path_).c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

uint64_t allocated(const std::string& path) {
  struct stat status = {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST_CASE("files are read in their order; what can't be read is none") {
  const TempDir dir;
  write_file(dir.path() + "/small", "a\n");
  write_file(dir.path() + "/empty", "");
  write_file(dir.path() + "/big", std::string(kMaxFileText, 'x'));
  write_file(dir.path() + "/too-big", std::string(kMaxFileText + 1, 'x'));
  const uint64_t before = monotonic_ns();
  const FileContents contents =
      read_files({dir.path() + "/small", dir.path() + "/missing", dir.path() + "/empty",
                  dir.path() + "/big", dir.path() + "/too-big", dir.path(), "/proc/self/stat"});
  REQUIRE(contents.texts.size() == 7);
  CHECK(contents.texts[0] == "a\n");
  CHECK(!contents.texts[1]);
  CHECK(contents.texts[2] == "");
  REQUIRE(contents.texts[3]);
  CHECK(contents.texts[3]->size() == kMaxFileText);
  CHECK(!contents.texts[4]);
  CHECK(!contents.texts[5]);
  CHECK(contents.texts[6]->starts_with(std::to_string(getpid()) + " ("));
  CHECK(contents.read_at >= before);
  CHECK(contents.read_at <= monotonic_ns());
}

TEST_CASE("a tree takes what its files take, hard links once, links as themselves") {
  const TempDir dir;
  const std::string top = dir.path() + "/top";
  fs::create_directories(top + "/a/b");
  write_file(top + "/a/file", std::string(100'000, 'x'));
  write_file(dir.path() + "/outside", std::string(1'000'000, 'x'));
  REQUIRE(link((top + "/a/file").c_str(), (top + "/a/b/same").c_str()) == 0);
  REQUIRE(symlink((dir.path() + "/outside").c_str(), (top + "/link").c_str()) == 0);
  REQUIRE(symlink(dir.path().c_str(), (top + "/up").c_str()) == 0);
  TreeUsage usage;
  REQUIRE(!measure_tree({top}, &usage).failed());
  CHECK(usage.inodes == 6);
  CHECK(usage.bytes == allocated(top) + allocated(top + "/a") + allocated(top + "/a/b") +
                           allocated(top + "/a/file") + allocated(top + "/link") +
                           allocated(top + "/up"));
  CHECK(measure_tree({top + "/none"}, &usage).code == ENOENT);
  CHECK(measure_tree({top + "/up"}, &usage).code == ENOTDIR);
}

TEST_CASE("a tree deeper than any path is measured to its end") {
  const TempDir dir;
  constexpr int kDepth = 600;
  Fd here(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY));
  for (int depth = 0; depth < kDepth; depth++) {
    REQUIRE(mkdirat(here.get(), "directory-with-a-name", 0755) == 0);
    // What lies beside the way down is found on the way back.
    REQUIRE(mkdirat(here.get(), "aside", 0755) == 0);
    REQUIRE(mkdirat(here.get(), "zside", 0755) == 0);
    here.reset(openat(here.get(), "directory-with-a-name", O_RDONLY | O_DIRECTORY));
    REQUIRE(here);
  }
  TreeUsage usage;
  REQUIRE(!measure_tree({dir.path()}, &usage).failed());
  CHECK(usage.inodes == 1 + 3 * kDepth);
}

TEST_CASE("a walk that is cancelled says so") {
  const TempDir dir;
  const std::atomic<bool> cancelled = true;
  TreeUsage usage;
  CHECK(measure_tree({dir.path(), &cancelled}, &usage).code == ECANCELED);
}

TEST_CASE("a tree that changes under the walk is measured all the same") {
  const TempDir dir;
  for (int i = 0; i < 40; i++) fs::create_directories(dir.path() + "/" + std::to_string(i) + "/x");
  const std::string deep = dir.path() + "/deep";
  std::atomic<bool> done = false;
  std::thread churn([&] {
    while (!done.load()) {
      std::string path = deep;
      for (int i = 0; i < 100; i++) path += "/d";
      std::error_code ignored;
      fs::create_directories(path, ignored);
      fs::rename(deep + "/d/d", dir.path() + "/moved", ignored);
      fs::remove_all(dir.path() + "/moved", ignored);
      fs::remove_all(deep, ignored);
    }
  });
  for (int round = 0; round < 200; round++) {
    TreeUsage usage;
    const Failure failure = measure_tree({dir.path()}, &usage);
    CHECK_MESSAGE(!failure.failed(), describe(failure));
    CHECK(usage.inodes >= 81);
  }
  done.store(true);
  churn.join();
}

TEST_CASE("a cgroup that is not there has no counts") {
  const auto counts = count_processes({{"/no/such"}, true});
  REQUIRE(counts.size() == 1);
  CHECK(!counts[0]);
}

// Any directory with these files will do: the counting does not know cgroupfs.
TEST_CASE("processes, threads and descriptors are those of the listed processes") {
  const TempDir dir;
  fs::create_directories(dir.path() + "/below");
  const std::string self = std::to_string(getpid());
  write_file(dir.path() + "/cgroup.procs", self + "\n");
  write_file(dir.path() + "/tasks", self + "\n" + self + "\n");
  // One that has ended: no such pid can be.
  write_file(dir.path() + "/below/cgroup.procs", "999999999\n");
  const auto before = count_processes({{dir.path()}, true});
  REQUIRE(before[0]);
  CHECK(before[0]->processes == 2);
  CHECK(before[0]->threads == 3);
  REQUIRE(before[0]->descriptors);
  int sockets[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  const Fd first(sockets[0]), second(sockets[1]), file(open("/dev/null", O_RDONLY));
  const auto after = count_processes({{dir.path()}, true});
  CHECK(*after[0]->descriptors == *before[0]->descriptors + 3);
  CHECK(*after[0]->sockets == *before[0]->sockets + 2);
  CHECK(!count_processes({{dir.path()}, false})[0]->descriptors);
}

}  // namespace
}  // namespace coracle
