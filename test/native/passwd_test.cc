#include "native/launch/passwd.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "native/sys/fd.h"

using namespace coracle;

namespace {

// A file with this content, at offset 0.
Fd file(const std::string& content) {
  Fd fd(memfd_create("database", MFD_CLOEXEC));
  REQUIRE(fd);
  REQUIRE(write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  REQUIRE(lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

const char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment: with : colons\n"
    "broken\n"
    "nonumber:x:abc:1::/:\n"
    "app:x:1000:100:An App:/home/app:/bin/sh\n"
    "short:x:1001:101";

}  // namespace

TEST_CASE("ids are decimal numbers below the largest") {
  uint32_t id = 7;
  CHECK(parse_id("0", &id));
  CHECK(id == 0);
  CHECK(parse_id("4294967294", &id));
  CHECK(id == 4294967294u);
  for (const char* text : {"", "4294967295", "99999999999999999999", "-1", "+1", " 1", "1a", "a"}) {
    CHECK_FALSE(parse_id(text, &id));
  }
}

TEST_CASE("users are found by name and by number") {
  PasswdEntry entry;
  REQUIRE(find_user(file(kPasswd).get(), "app", 0, &entry));
  CHECK(entry.uid == 1000);
  CHECK(entry.gid == 100);
  CHECK(std::string(entry.home) == "/home/app");
  REQUIRE(find_user(file(kPasswd).get(), nullptr, 1000, &entry));
  CHECK(std::string(entry.name) == "app");
  REQUIRE(find_user(file(kPasswd).get(), "short", 0, &entry));
  CHECK(entry.gid == 101);
  CHECK(std::string(entry.home) == "");
}

TEST_CASE("users that are not there, or not sound, are not found") {
  PasswdEntry entry;
  for (const char* name : {"ap", "appp", "nonumber", "broken", "# a comment"}) {
    CHECK_FALSE(find_user(file(kPasswd).get(), name, 0, &entry));
  }
  CHECK_FALSE(find_user(file(kPasswd).get(), nullptr, 5, &entry));
  CHECK_FALSE(find_user(file("").get(), nullptr, 0, &entry));
  CHECK_FALSE(find_user(file("\n\n:::\n").get(), nullptr, 0, &entry));
  CHECK_FALSE(find_user(-1, "root", 0, &entry));
}

TEST_CASE("lines and names of any length do not confuse the next line") {
  std::string text = std::string(100000, 'x') + ":x:1:1::/:\n" +
                     "big:x:2:2:" + std::string(9000, 'c') + ":/b:/bin/sh\n" + "last:x:3:3::/l:\n";
  PasswdEntry entry;
  REQUIRE(find_user(file(text).get(), "big", 0, &entry));
  CHECK(std::string(entry.home) == "/b");
  REQUIRE(find_user(file(text).get(), "last", 0, &entry));
  CHECK(entry.uid == 3);
  std::string home = "h:x:4:4::/" + std::string(600, 'd') + ":\n";
  REQUIRE(find_user(file(home).get(), "h", 0, &entry));
  CHECK(std::string(entry.home) == "");
}

TEST_CASE("groups are found by name") {
  uint32_t gid = 0;
  const char text[] = "root:x:0:\nwheel:x:10:a,b\nbad:x::\nlast:x:20";
  REQUIRE(find_group(file(text).get(), "wheel", &gid));
  CHECK(gid == 10);
  REQUIRE(find_group(file(text).get(), "last", &gid));
  CHECK(gid == 20);
  CHECK_FALSE(find_group(file(text).get(), "bad", &gid));
  CHECK_FALSE(find_group(file(text).get(), "whee", &gid));
}

TEST_CASE("memberships are exact, and each group counts once") {
  const char text[] = "a:x:1:app\nb:x:2:apps,ap\nc:x:3:x,app,y\nd:x:4:\ne:x:1:app\nf:x:5:y,app";
  GroupList groups;
  REQUIRE(groups.add(3));
  REQUIRE(add_member_groups(file(text).get(), "app", &groups));
  REQUIRE(groups.count == 3);
  CHECK(groups.ids[0] == 3);
  CHECK(groups.ids[1] == 1);
  CHECK(groups.ids[2] == 5);
}

TEST_CASE("more groups than fit are an error, not a silent loss") {
  std::string text;
  for (size_t i = 0; i <= kMaxGroups; ++i) {
    text += "g" + std::to_string(i) + ":x:" + std::to_string(i + 1) + ":app\n";
  }
  GroupList groups;
  CHECK_FALSE(add_member_groups(file(text).get(), "app", &groups));
  CHECK(groups.count == kMaxGroups);
  CHECK(groups.add(1));  // there already
}

TEST_CASE("a file that cannot be read is not one without the entry") {
  const Fd unreadable(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  PasswdEntry entry;
  uint32_t gid;
  GroupList groups;
  CHECK_FALSE(find_user(unreadable.get(), "app", 0, &entry));
  CHECK(errno == EISDIR);
  CHECK_FALSE(find_group(unreadable.get(), "users", &gid));
  CHECK(errno == EISDIR);
  CHECK_FALSE(add_member_groups(unreadable.get(), "app", &groups));
  CHECK(errno == EISDIR);
  CHECK_FALSE(find_user(file(kPasswd).get(), "nobody", 0, &entry));
  CHECK(errno == 0);
}

TEST_CASE("a NUL ends the file") {
  PasswdEntry entry;
  std::string text("a:x:1:1::/:\n\0b:x:2:2::/:\n", 25);
  CHECK(find_user(file(text).get(), "a", 0, &entry));
  CHECK_FALSE(find_user(file(text).get(), "b", 0, &entry));
}
