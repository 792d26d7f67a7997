// The copy that monitors run from (CVE-2019-5736).
#include "native/addon/sealed_executable.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

using namespace coracle;

namespace {

constexpr char kProgram[] = "/proc/self/exe";

int seals_of(int fd) { return fcntl(fd, F_GET_SEALS); }

}  // namespace

TEST_CASE("CVE-2019-5736: a copy takes no write, no other size, and no seal off") {
  SealedExecutable executables;
  int fd = -1;
  REQUIRE_FALSE(executables.get(kProgram, &fd).failed());
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  CHECK((seals_of(fd) & kSeals) == kSeals);
  CHECK(is_executable(fd));
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const Fd writable(open(path.c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(writable);
  CHECK(pwrite(writable.get(), "x", 1, 0) < 0);
  CHECK(errno == EPERM);
  CHECK(ftruncate(writable.get(), 0) < 0);
  CHECK(mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, writable.get(), 0) == MAP_FAILED);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0);
}

TEST_CASE("the same copy serves all, until somebody makes it useless") {
  SealedExecutable executables;
  int first = -1, second = -1;
  REQUIRE_FALSE(executables.get(kProgram, &first).failed());
  REQUIRE_FALSE(executables.get(kProgram, &second).failed());
  CHECK(first == second);
  // From Linux 6.3 on a seal keeps the mode; before, the next monitor gets another copy.
  const bool kept = fchmod(first, 0600) != 0 && errno == EPERM;
  REQUIRE_FALSE(executables.get(kProgram, &second).failed());
  CHECK(is_executable(second));
  CHECK((!kept || second == first));
}

TEST_CASE("a file that only some may execute counts as none") {
  const Fd file(memfd_create("test", MFD_CLOEXEC));
  REQUIRE(file);
  for (const mode_t mode : {0777, 0755, 0711, 0111}) {
    REQUIRE(fchmod(file.get(), mode) == 0);
    CHECK(is_executable(file.get()));
  }
  for (const mode_t mode : {0666, 0600, 0744, 0710, 0}) {
    REQUIRE(fchmod(file.get(), mode) == 0);
    CHECK_FALSE(is_executable(file.get()));
  }
}
