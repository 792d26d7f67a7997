// Mounts of images, and the profile of a security module.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/launch/decode.h"
#include "test/native/pod_fixture.h"

using namespace coracle;
using namespace coracle::test;

namespace {

void write_file(const char* path, const char* text) {
  int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
  (void)!write(fd, text, strlen(text));
  close(fd);
}

// Two layers: /data/one/sub/{a,link}, /data/two/sub/b.
void make_layers() {
  for (const char* name : {"/data/one", "/data/one/sub", "/data/two", "/data/two/sub"}) {
    mkdir(name, 0755);
  }
  write_file("/data/one/sub/a", "text of a\n");
  write_file("/data/two/sub/b", "text of b\n");
  (void)!symlink("/sub/b", "/data/one/sub/link");
}

PlanBuilder with_image(const std::vector<std::string>& lower, const char* sub_path,
                       const char* target, uint64_t attributes = 0) {
  PlanBuilder plan;
  plan.overlay({"lower"}, "upper", "work");
  auto list = strings(lower);
  plan.add(Mount{str("proc"), str("proc"), str("/proc"), 14, str("")});
  plan.add(ImageMount{static_cast<uint16_t>(lower.size()), view(list), str(sub_path), str(target),
                      attributes});
  return plan;
}

std::string broken_rule(PlanBuilder plan) {
  std::vector<char*> slots(16);
  Program program;
  Error error =
      decode_program(plan.execve({"/bin/true"}).get(), 4, {slots.data(), slots.size()}, &program);
  return error.ok() ? "" : error.path;
}

}  // namespace

LAUNCH_CASE("an image is mounted read-only, of one layer or more") {
  CHECK(in_monitor([](const PodContext& context) {
          make_layers();
          std::string text;
          for (const std::vector<std::string>& lower :
               {std::vector<std::string>{"one"}, {"two", "one"}}) {
            PlanBuilder plan = with_image(lower, "", "/mnt/image");
            plan.add(Pivot{}).execve(
                {"sh", "-c", "ls /mnt/image/sub; (echo x > /mnt/image/x) 2>&- || echo refused"});
            text += summary(run_plan(context, plan)) + " ";
          }
          return text;
        }) == "a\nlink\nrefused\nexit 0 a\nb\nlink\nrefused\nexit 0 ");
}

LAUNCH_CASE("a link of the container's that climbs at its root leads into no image on its way") {
  CHECK(in_monitor([](const PodContext& context) {
          make_layers();
          (void)!symlink("../../sub", "/data/lower/link");
          PlanBuilder plan = with_image({"two", "one"}, "", "/link");
          plan.add(Pivot{}).execve({"sh", "-c", "ls /sub/sub"});
          return summary(run_plan(context, plan));
        }) == "a\nb\nlink\nexit 0");
}

LAUNCH_CASE("of an image a directory or a file is mounted alone, and links stay inside it") {
  CHECK(in_monitor([](const PodContext& context) {
          make_layers();
          std::string text;
          const char* cases[][2] = {
              {"sub", "ls /mnt"}, {"sub/a", "cat /mnt"}, {"sub/link", "cat /mnt"}};
          for (const auto& [sub_path, script] : cases) {
            PlanBuilder plan = with_image({"two", "one"}, sub_path, "/mnt");
            // What the whole was mounted for is gone: one mount is left of it.
            const std::string count =
                std::string(script) + "; grep -c ' /mnt ' /proc/self/mountinfo";
            plan.add(Pivot{}).execve({"sh", "-c", count});
            text += summary(run_plan(context, plan)) + " ";
            unlink("/data/upper/mnt");
            rmdir("/data/upper/mnt");
          }
          return text;
        }) == "a\nb\nlink\n1\nexit 0 text of a\n1\nexit 0 text of b\n1\nexit 0 ");
}

LAUNCH_CASE("a part that an image has not is an error that names it") {
  CHECK(in_monitor([](const PodContext& context) {
          make_layers();
          PlanBuilder plan = with_image({"two", "one"}, "sub/none", "/mnt");
          plan.add(Pivot{}).execve({"true"});
          return run_plan(context, plan).error;
        }) == "open image path sub/none: No such file or directory");
}

LAUNCH_CASE("flags of an image mount hold") {
  CHECK(in_monitor([](const PodContext& context) {
          make_layers();
          PlanBuilder plan = with_image({"two", "one"}, "", "/mnt", sys::kMountAttrNoexec);
          plan.add(Pivot{}).execve({"sh", "-c", "/mnt/sub/a 2>&- || echo refused"});
          return summary(run_plan(context, plan));
        }) == "refused\nexit 0");
}

LAUNCH_CASE("a profile that cannot be taken on ends the launch") {
  const std::string error = in_monitor([](const PodContext& context) {
    PlanBuilder plan = container();
    plan.add(Pivot{}).add(LsmProfile{str("apparmor"), str("exec coracle-no-such-profile")});
    plan.execve({"true"});
    return run_plan(context, plan).error;
  });
  CHECK(error.find("set security profile exec coracle-no-such-profile: ") == 0);
}

TEST_CASE("image mounts and profiles are checked before the clone") {
  CHECK(broken_rule(with_image({"one"}, "a/b", "/mnt").add(Pivot{})) == "");
  CHECK(broken_rule(with_image({}, "", "/mnt").add(Pivot{})) == "image layers");
  CHECK(broken_rule(with_image({"/one"}, "", "/mnt").add(Pivot{})) == "image layers");
  CHECK(broken_rule(with_image({"one"}, "a/../b", "/mnt").add(Pivot{})) == "image path");
  CHECK(broken_rule(with_image({"one"}, "", "/mnt/../x").add(Pivot{})) == "target path");
  PlanBuilder late;
  late.overlay({"lower"}, "upper", "work").add(Pivot{});
  auto list = strings({"one"});
  late.add(ImageMount{1, view(list), str(""), str("/mnt"), 0});
  CHECK(broken_rule(late) == "image after the pivot");
  for (const char* module : {"", "../x", "App", "a/b"}) {
    PlanBuilder plan;
    plan.overlay({"lower"}, "upper", "work").add(Pivot{});
    CHECK(broken_rule(plan.add(LsmProfile{str(module), str("x")})) == "security module");
  }
}
