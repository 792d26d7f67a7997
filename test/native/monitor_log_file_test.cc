#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "native/monitor/log_file.h"

using coracle::Fd;
using coracle::LogFile;

namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A pipe of one page, non-blocking: it takes part of a write and then refuses, as a full disk.
struct SmallPipe {
  SmallPipe() {
    REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    REQUIRE(fcntl(ends[1], F_SETPIPE_SZ, 4096) == 4096);
  }
  ~SmallPipe() { close(ends[0]); }
  std::string drain() {
    std::string text;
    char buffer[65536];
    for (ssize_t size; (size = read(ends[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }
  int ends[2];
};

}  // namespace

TEST_CASE("a line that was cut is completed before the next one") {
  SmallPipe pipe;
  LogFile log;
  log.open(Fd(pipe.ends[1]), 8192);
  const std::string first = std::string(3000, 'a') + "\n";
  const std::string second = std::string(3000, 'b') + "\n";
  const std::string third = std::string(10, 'c') + "\n";
  log.write((first + second + third).data(), first.size() + second.size() + third.size());
  CHECK(log.dropped_bytes() == third.size());
  log.write(third.data(), third.size());  // still full
  CHECK(log.dropped_bytes() == 2 * third.size());
  CHECK(pipe.drain() == (first + second).substr(0, 4096));
  log.write(third.data(), third.size());
  CHECK(pipe.drain() == (first + second).substr(4096) + third);
  CHECK(log.dropped_bytes() == 2 * third.size());
}

TEST_CASE("a full device drops, counts and does not fail") {
  LogFile log;
  log.open(Fd(open("/dev/full", O_WRONLY | O_CLOEXEC)), 1024);
  log.write("one\n", 4);
  log.write("two\n", 4);
  CHECK(log.dropped_bytes() == 8);
}

TEST_CASE("a file system that was full leaves whole lines only" * doctest::skip(geteuid() != 0)) {
  char directory[] = "/tmp/coracle-log-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  REQUIRE(mount("none", directory, "tmpfs", 0, "size=8192") == 0);
  const std::string path = std::string(directory) + "/log";
  {
    LogFile log;
    log.open(Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640)), 8192);
    const std::string line = std::string(2999, 'x') + "\n";
    for (int count = 0; count < 5; ++count) log.write(line.data(), line.size());
    CHECK(log.dropped_bytes() == 2 * line.size());
    REQUIRE(mount("none", directory, "tmpfs", MS_REMOUNT, "size=65536") == 0);
    log.write(line.data(), line.size());
    std::string expected;
    for (int count = 0; count < 4; ++count) expected += line;
    CHECK(slurp(path) == expected);
  }
  umount2(directory, MNT_DETACH);
  rmdir(directory);
}

TEST_CASE("reopening while a line is cut: the rest stays with the old file or is counted") {
  SmallPipe pipe;
  char path[] = "/tmp/coracle-log-XXXXXX";
  const int file = mkstemp(path);
  LogFile log;
  log.open(Fd(pipe.ends[1]), 8192);
  const std::string line = std::string(5000, 'a') + "\n";
  log.write(line.data(), line.size());
  log.reopen(Fd(file));
  CHECK(log.dropped_bytes() == line.size() - 4096);
  log.write("next\n", 5);
  CHECK(slurp(path) == "next\n");
  unlink(path);
}

TEST_CASE("switching between files loses, repeats and splits nothing") {
  char directory[] = "/tmp/coracle-log-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  std::string text;
  std::string expected;
  {
    LogFile log;
    int next_file = 0;
    for (int line = 0; line < 20000; ++line) {
      if (line % 1000 == 0) {
        const std::string path = std::string(directory) + "/" + std::to_string(next_file++);
        Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
        if (line == 0) {
          log.open(std::move(file), 1024);
        } else {
          log.reopen(std::move(file));
        }
      }
      const std::string content = "line " + std::to_string(line) + "\n";
      log.write(content.data(), content.size());
      expected += content;
    }
    CHECK(log.dropped_bytes() == 0);
    for (int file = 0; file < next_file; ++file) {
      const std::string path = std::string(directory) + "/" + std::to_string(file);
      const std::string part = slurp(path);
      CHECK(part.back() == '\n');
      text += part;
      unlink(path.c_str());
    }
  }
  CHECK(text == expected);
  rmdir(directory);
}
