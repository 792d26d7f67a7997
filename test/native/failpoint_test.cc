#include "native/sys/failpoint.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>
#include <string>

#include "native/sys/syscalls.h"

namespace coracle {
namespace {

struct Disarm {
  ~Disarm() { sys::arm_failpoints(nullptr); }
};

TEST_CASE("failpoints do nothing unless they are armed") {
  errno = 0;
  CHECK(sys::failpoint("clone3") == 0);
  CHECK(errno == 0);
}

TEST_CASE("failpoints fail from the first hit on, or at some of them") {
  Disarm disarm;
  REQUIRE(sys::arm_failpoints("a=EIO;b=ENOSPC@3x2;c.*=EMFILE@2"));
  CHECK(sys::failpoint("a") == EIO);
  CHECK(errno == EIO);
  for (int expected : {0, 0, ENOSPC, ENOSPC, 0, 0}) CHECK(sys::failpoint("b") == expected);
  CHECK(sys::failpoint("c.one") == 0);
  CHECK(sys::failpoint("c.two") == EMFILE);
  CHECK(sys::failpoint("ab") == 0);
}

TEST_CASE("failpoints take their chances from the seed") {
  Disarm disarm;
  const auto run = [](const char* spec) {
    REQUIRE(sys::arm_failpoints(spec));
    std::string outcome;
    for (int i = 0; i < 200; ++i) outcome += sys::failpoint("a") == 0 ? '-' : 'x';
    return outcome;
  };
  const std::string first = run("seed=7;a=EIO%30");
  CHECK(first == run("seed=7;a=EIO%30"));
  CHECK(first != run("seed=8;a=EIO%30"));
  CHECK(first.find('x') != std::string::npos);
}

TEST_CASE("failpoints kill the process, and no other") {
  Disarm disarm;
  const pid_t child = fork();
  if (child == 0) {
    sys::arm_failpoints("a=kill@2");
    sys::failpoint("a");
    sys::failpoint("a");
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
}

TEST_CASE("failpoints kill the first process of a PID namespace, too" *
          doctest::skip(geteuid() != 0)) {
  sys::CloneArgs args;
  args.flags = sys::kCloneNewPid;
  args.exit_signal = SIGCHLD;
  const pid_t child = sys::clone3(args);
  if (child == 0) {
    sys::arm_failpoints("a=kill");
    sys::failpoint("a");
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 128 + SIGKILL);
}

TEST_CASE("failpoints that are none arm nothing") {
  Disarm disarm;
  for (const char* spec :
       {"a", "a=", "a=EWHAT", "a=EIOx", "a=delay", "a=kill@", "seed=x", "=EIO"}) {
    CAPTURE(spec);
    CHECK_FALSE(sys::arm_failpoints((std::string("b=EIO;") + spec).c_str()));
    CHECK(sys::failpoint("b") == 0);
  }
  CHECK(sys::arm_failpoints(""));
}

}  // namespace
}  // namespace coracle
