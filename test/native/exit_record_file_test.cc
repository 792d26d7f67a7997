#include "native/monitor/exit_record_file.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>

#include "native/sys/fd.h"

using namespace coracle;

namespace {

// A file system of two pages, all of which `fill` takes.
class SmallDisk {
 public:
  SmallDisk() {
    REQUIRE(mkdtemp(path_) != nullptr);
    REQUIRE(mount("none", path_, "tmpfs", 0, "size=8192") == 0);
    directory_.reset(open(path_, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(directory_);
  }
  ~SmallDisk() {
    umount2(path_, MNT_DETACH);
    rmdir(path_);
  }
  int fd() const { return directory_.get(); }
  bool has(const char* name) const { return faccessat(fd(), name, F_OK, 0) == 0; }
  void fill() {
    const Fd file(openat(fd(), "filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string page(4096, 'x');
    while (write(file.get(), page.data(), page.size()) > 0) continue;
    REQUIRE(errno == ENOSPC);
  }
  ExitRecord read_record(const char* name) const {
    ExitRecord record;
    record.pid = 0;
    const Fd file(openat(fd(), name, O_RDONLY | O_CLOEXEC));
    CHECK(read(file.get(), &record, sizeof(record)) == sizeof(record));
    return record;
  }

 private:
  char path_[32] = "/tmp/coracle-exit-XXXXXX";
  Fd directory_;
};

ExitRecord some_record() {
  ExitRecord record;
  record.pid = 42;
  record.wait_status = 7 << 8;
  return record;
}

}  // namespace

TEST_CASE("G-10: an exit record has its room, whatever fills the disk after the launch" *
          doctest::skip(geteuid() != 0)) {
  SmallDisk disk;
  reserve_exit_record(disk.fd(), "c1");
  CHECK_FALSE(disk.has("c1"));
  disk.fill();
  CHECK_FALSE(write_exit_record(disk.fd(), "c2", some_record()));
  REQUIRE(write_exit_record(disk.fd(), "c1", some_record()));
  CHECK(disk.read_record("c1").pid == 42);
  CHECK(disk.read_record("c1").wait_status == 7 << 8);
  CHECK_FALSE(disk.has(".c1.new"));
  remove_exit_record(disk.fd(), "c1");
  CHECK_FALSE(disk.has("c1"));
}

TEST_CASE("a full disk refuses an exit record until it has room; what is reserved goes unused" *
          doctest::skip(geteuid() != 0)) {
  SmallDisk disk;
  disk.fill();
  reserve_exit_record(disk.fd(), "c1");
  CHECK_FALSE(write_exit_record(disk.fd(), "c1", some_record()));
  CHECK_FALSE(disk.has("c1"));
  unlinkat(disk.fd(), "filler", 0);
  REQUIRE(write_exit_record(disk.fd(), "c1", some_record()));
  CHECK(disk.read_record("c1").pid == 42);
  reserve_exit_record(disk.fd(), "c2");
  CHECK(disk.has(".c2.new"));
  remove_exit_record(disk.fd(), "c2");
  CHECK_FALSE(disk.has(".c2.new"));
}
