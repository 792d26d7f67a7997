#include <doctest/doctest.h>

#include "native/launch/decode.h"
#include "test/native/plan_fixture.h"

using namespace coracle;
using namespace coracle::test;

namespace {

struct Checked {
  Error error;
  Program program;
  std::vector<char*> slots = std::vector<char*>(64);
};

Checked check_plan(const LaunchPlan& plan, size_t fds = 4) {
  Checked checked;
  checked.error =
      decode_program(plan, fds, {checked.slots.data(), checked.slots.size()}, &checked.program);
  return checked;
}

// What every plan here starts with.
PlanBuilder rooted() {
  PlanBuilder builder;
  builder.overlay({"lower"}, "upper", "work");
  return builder;
}
PlanBuilder inside() {
  PlanBuilder builder = rooted();
  builder.add(Pivot{});
  return builder;
}

std::string broken_rule(PlanBuilder builder, size_t fds = 4) {
  Checked checked = check_plan(builder.execve({"/bin/true"}).get(), fds);
  return checked.error.ok() ? "" : checked.error.path;
}

}  // namespace

TEST_CASE("a sound plan decodes to argv, envp, PATH and a place for HOME") {
  PlanBuilder builder = inside();
  builder.user("0").execve({"sh", "-c", "true"}, {"A=1", "PATH=/x:/y"});
  Checked checked = check_plan(builder.get());
  REQUIRE(checked.error.ok());
  CHECK(std::string(checked.program.argv[2]) == "true");
  CHECK(checked.program.argv[3] == nullptr);
  CHECK(std::string(checked.program.search_path) == "/x:/y");
  CHECK(checked.program.home_slot == checked.program.envp + 2);
  CHECK(checked.program.envp[2] == nullptr);
  CHECK(checked.program.envp[3] == nullptr);
}

TEST_CASE("HOME of the plan is left alone") {
  PlanBuilder builder = inside();
  builder.execve({"sh"}, {"HOME=/here"});
  Checked checked = check_plan(builder.get());
  REQUIRE(checked.error.ok());
  CHECK(checked.program.home_slot == nullptr);
}

TEST_CASE("a step list that is cut at any byte is refused") {
  PlanBuilder builder = inside();
  LaunchPlan plan = builder.execve({"/bin/true"}).get();
  for (uint32_t size = 0; size < plan.steps.size; ++size) {
    std::vector<uint8_t> cut(plan.steps.data, plan.steps.data + size);
    cut.shrink_to_fit();
    LaunchPlan shorter = plan;
    shorter.steps = view(cut);
    CHECK(check_plan(shorter).error.code == EINVAL);
  }
}

TEST_CASE("any flipped byte is refused or decodes to something sound") {
  PlanBuilder builder = inside();
  LaunchPlan plan = builder.add(Bind{}).user("root").execve({"/bin/true"}).get();
  for (uint32_t at = 0; at < plan.steps.size; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> flipped(plan.steps.data, plan.steps.data + plan.steps.size);
      flipped[at] = static_cast<uint8_t>(flipped[at] ^ (1 << bit));
      LaunchPlan changed = plan;
      changed.steps = view(flipped);
      Checked checked = check_plan(changed);
      if (checked.error.ok()) {
        CHECK(checked.program.argv[0] != nullptr);
      } else {
        CHECK(std::string(checked.error.step) == "decode plan");
      }
    }
  }
}

TEST_CASE("step lists of the wrong shape are refused") {
  CHECK(broken_rule(inside()) == "");
  CHECK(broken_rule(inside().add_raw(999, {})) == "unknown step");
  CHECK(broken_rule(inside().add_raw(0, {})) == "unknown step");
  CHECK(broken_rule(inside().add_raw(static_cast<uint16_t>(Op::kUmask), {1})) == "step payload");
  CHECK(broken_rule(inside().add(Pivot{})) == "pivot");
  CHECK(broken_rule(rooted()) == "no pivot");
  CHECK(broken_rule(rooted().overlay({"l"}, "u", "w")) == "root file system");
  CHECK(broken_rule(inside().execve({"/bin/true"})) == "execve before the last step");
  PlanBuilder without = inside();
  CHECK(std::string(check_plan(without.get()).error.path) == "no execve");
  PlanBuilder extra = inside();
  LaunchPlan plan = extra.execve({"/bin/true"}).get();
  ++plan.step_count;
  CHECK(std::string(check_plan(plan).error.path) == "execve before the last step");
  plan.step_count = 1;
  CHECK(std::string(check_plan(plan).error.path) == "bytes after the last step");
}

TEST_CASE("descriptors must exist, and a mount is used once") {
  Bind bind;
  bind.target = str("/mnt");
  bind.fd = 3;
  CHECK(broken_rule(inside().add(bind)) == "");
  CHECK(broken_rule(inside().add(bind).add(bind)) == "bind descriptor");
  CHECK(broken_rule(inside().add(bind), 3) == "bind descriptor");
  for (FdIndex fd : {-1, -32768, 4, 32767}) {
    bind.fd = fd;
    CHECK(broken_rule(inside().add(bind)) == "bind descriptor");
    CHECK(broken_rule(inside().add(JoinCgroup{fd, str("/x")})) == "cgroup descriptor");
  }
  PlanBuilder builder = inside();
  builder.plan().into_cgroup = 4;
  CHECK(broken_rule(builder) == "descriptor index");
}

TEST_CASE("paths are absolute, without '..', and layers are relative") {
  for (const char* path : {"", "mnt", "../mnt", "/a/../b", "/..", "/a/.."}) {
    CHECK(broken_rule(inside().add(Mkdir{str(path), 0755, 0, 0})) == "target path");
  }
  CHECK(broken_rule(inside().add(Mkdir{str("/a/..b/c.."), 0755, 0, 0})) == "");
  std::string longest = "/" + std::string(4094, 'a'), too_long = longest + "a";
  CHECK(broken_rule(inside().add(Mask{str(longest.c_str())})) == "");
  CHECK(broken_rule(inside().add(Mask{str(too_long.c_str())})) == "target path");
  for (const char* layer : {"", "/etc", "../x"}) {
    PlanBuilder builder;
    builder.overlay({"ok", layer}, "upper", "work");
    CHECK(broken_rule(builder) == "overlay layers");
  }
}

TEST_CASE("lists hold what they say") {
  auto two = strings({"a", "b"});
  for (uint32_t count : {0u, 1u, 3u, 0xffffffffu}) {
    PlanBuilder builder = inside();
    builder.add(Execve{count, view(two), 0, {}});
    CHECK_FALSE(check_plan(builder.get()).error.ok());
  }
  User user;
  user.extra_count = 2;
  CHECK(broken_rule(inside().add(user)) == "supplementary groups");
}

TEST_CASE("more arguments than the arena takes are E2BIG") {
  PlanBuilder builder = inside();
  builder.execve(std::vector<std::string>(64, "a"));
  CHECK(check_plan(builder.get()).error.code == E2BIG);
}

TEST_CASE("steps that would reach past the container are refused") {
  PlanBuilder shared;
  shared.plan().clone_flags = sys::kCloneNewNs;
  shared.add(Hostname{str("x")}).overlay({"l"}, "u", "w").add(Pivot{});
  CHECK(broken_rule(shared) == "host name without UTS namespace");
  PlanBuilder open = inside();
  open.plan().clone_flags = 0;
  CHECK(broken_rule(open) == "mount namespace");
  PlanBuilder user_namespace = inside();
  user_namespace.plan().clone_flags |= sys::kCloneNewUser;
  CHECK(broken_rule(user_namespace) == "clone flags");
  CHECK(broken_rule(rooted().add(Cwd{str("/"), 0})) == "working directory before the root");
  CHECK(broken_rule(inside().add(Capabilities{}).user("0")) == "order of user");
  std::vector<uint8_t> filter(8);
  CHECK(broken_rule(inside().add(Seccomp{view(filter), 8})) == "seccomp flags");
  filter.push_back(0);
  CHECK(broken_rule(inside().add(Seccomp{view(filter), 0})) == "seccomp program");
  PlanBuilder filtered = inside();
  filtered.add(Seccomp{view({6, 0, 0, 0, 0, 0, 255, 127}), 0}).add(NoNewPrivs{});
  CHECK(broken_rule(filtered) == "");
  CHECK(broken_rule(filtered.add(Umask{022})) == "step after the seccomp filter");
}

TEST_CASE("an exec joins a mount namespace instead of making a root") {
  PlanBuilder builder;
  builder.plan().flags = kExec;
  builder.plan().parent = str("c");
  builder.plan().clone_flags = 0;
  PlanBuilder without = builder;
  CHECK(broken_rule(without) == "no pivot");
  PlanBuilder partial = builder;
  CHECK(broken_rule(partial.add(JoinNamespaces{sys::kCloneNewIpc})) == "namespaces to join");
  builder.add(JoinNamespaces{sys::kCloneNewNs | sys::kCloneNewIpc});
  CHECK(broken_rule(builder) == "");
  CHECK(broken_rule(builder.overlay({"l"}, "u", "w")) == "root file system");
}

TEST_CASE("the user namespace is joined once, inside the root and before the user") {
  CHECK(broken_rule(inside().add(JoinUserNamespace{})) == "");
  CHECK(broken_rule(rooted().add(JoinUserNamespace{}).add(Pivot{})) ==
        "user namespace before the root");
  CHECK(broken_rule(inside().user("0").add(JoinUserNamespace{})) == "join of user namespace");
  CHECK(broken_rule(inside().add(JoinUserNamespace{}).add(JoinUserNamespace{})) ==
        "join of user namespace");
  const auto net = static_cast<uint32_t>(sys::kCloneNewNet);
  CHECK(broken_rule(inside().add(JoinUserNamespace{net})) == "unshare flags");
  CHECK(broken_rule(inside().add(ActAsPodRoot{})) ==
        "act as root of the pod after the root file system");
}
