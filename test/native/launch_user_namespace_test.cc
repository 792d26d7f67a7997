// Launches into a user namespace, in a miniature monitor that has one.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/sys/fd.h"
#include "test/native/pod_fixture.h"

using namespace coracle;
using namespace coracle::test;

namespace {

constexpr uint32_t kHost = 300000;

bool write_text(int dir, const std::string& path, const std::string& text) {
  const Fd file(openat(dir, path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A user namespace of ids kHost and up; its only process has ended when this returns.
int make_user_namespace(const PodContext& context, uint32_t length) {
  int line[2];
  if (pipe2(line, O_CLOEXEC) != 0) return -1;
  sys::CloneArgs args;
  args.flags = sys::kCloneNewUser;
  args.exit_signal = SIGCHLD;
  const pid_t pid = sys::clone3(args);
  if (pid == 0) {
    close(line[1]);
    char end;
    (void)!read(line[0], &end, 1);
    _exit(0);
  }
  close(line[0]);
  const std::string at = std::to_string(pid);
  const std::string map = "0 " + std::to_string(kHost) + " " + std::to_string(length);
  int fd = -1;
  if (write_text(context.proc_fd, at + "/uid_map", map) &&
      write_text(context.proc_fd, at + "/gid_map", map)) {
    fd = openat(context.proc_fd, (at + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
  }
  close(line[1]);
  waitpid(pid, nullptr, 0);
  return fd;
}

bool mount_mapped(int userns) {
  if (mkdir(kMappedDataDir, 0755) != 0) return false;
  const Fd tree(sys::open_tree(AT_FDCWD, kDataDir, sys::kOpenTreeClone));
  sys::MountAttr mapped;
  mapped.set = sys::kMountAttrIdmap;
  mapped.userns_fd = static_cast<uint64_t>(userns);
  return tree && sys::mount_setattr(tree.get(), "", sys::kAtEmptyPath, mapped) == 0 &&
         sys::move_mount(tree.get(), "", AT_FDCWD, kMappedDataDir, sys::kMoveMountFromEmptyPath) ==
             0;
}

// Runs `body` with a pod that has a user namespace.
std::string in_pod(const std::function<std::string(const PodContext&)>& body,
                   uint32_t length = 65536) {
  return in_monitor([&](const PodContext& plain) -> std::string {
    PodContext context = plain;
    context.userns_fd = make_user_namespace(plain, length);
    if (context.userns_fd < 0) return "no user namespace";
    if (!mount_mapped(context.userns_fd)) return "no id-mapped mount";
    context.root_uid = context.root_gid = kHost;
    context.data_dir = kMappedDataDir;
    return body(context);
  });
}

void add_root(PlanBuilder& plan) {
  plan.overlay({"lower"}, "upper", "work")
      .add(Mount{str("proc"), str("proc"), str("/proc"), 14, str("")})
      .add(Mount{str("tmpfs"), str("tmpfs"), str("/dev"), 2, str("mode=755")})
      .add(Mount{str("devpts"), str("devpts"), str("/dev/pts"), 10,
                 str("newinstance,ptmxmode=0666,mode=0620,gid=300005")})
      .add(Mknod{str("/dev/null"), S_IFCHR | 0666, 1, 3, kHost, kHost})
      .add(Mknod{str("/dev/host"), S_IFCHR | 0600, 1, 3, 0, 0})
      .add(Mask{str("/proc/keys")})
      .add(Pivot{});
}

std::string shell(const char* script, const char* user = "0", uint32_t length = 65536) {
  return in_pod(
      [&](const PodContext& context) {
        PlanBuilder plan;
        plan.add(ActAsPodRoot{});
        add_root(plan);
        plan.add(JoinUserNamespace{static_cast<uint32_t>(sys::kCloneNewNs)})
            .user(user)
            .execve({"sh", "-c", script});
        return summary(run_plan(context, plan));
      },
      length);
}

// Launches the plan of a container that sleeps; true once it runs.
bool run_sleeper(const PodContext& context, Launched* launched) {
  PlanBuilder plan;
  plan.add(ActAsPodRoot{});
  add_root(plan);
  plan.add(JoinUserNamespace{static_cast<uint32_t>(sys::kCloneNewNs)})
      .user("0")
      .execve({"sleep", "100"});
  const int stdio[3] = {-1, -1, -1};
  Report report;
  if (!launch(context, plan.get(), nullptr, 0, -1, stdio, launched).ok()) return false;
  if (!next_report(launched, &report) || report.kind != ReportKind::kReady) return false;
  (void)!write(launched->wake_fd, "g", 1);
  return !next_report(launched, &report);
}

// A pipe that takes no more: the step that writes to it goes on when somebody reads.
struct FullPipe {
  Fd reader, writer;

  FullPipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    reader = Fd(ends[0]), writer = Fd(ends[1]);
    const std::string page(4096, 'x');
    while (write(writer.get(), page.data(), page.size()) > 0) {
    }
    fcntl(writer.get(), F_SETFL, 0);
  }
};

// Looks at process 1, which is its own container's, and at process 2, which is being launched.
const char kProbe[] =
    "until grep -q coracle-launch /proc/2/comm; do :; done; sleep 0.2;"
    "for p in 1 2; do echo at $p; for i in fd root/ cwd/ ns task/$p/fd; do"
    "  ls /proc/$p/$i > /dev/null 2>&1 && echo list $i; done;"
    "for i in exe ns/user ns/mnt cwd root; do"
    "  readlink /proc/$p/$i > /dev/null && echo follow $i; done;"
    "for i in mem maps environ; do"
    "  (exec 3< /proc/$p/$i) 2> /dev/null && head -c 0 /proc/$p/$i && echo open $i; done; done; "
    "exit 0";

// What a root of the pod, in a container whose PID namespace a launch has joined, gets of the
// child while that is at a step of `position`: 0 as the host's root, 1 as its own, 2 parked.
std::string attack(int position) {
  return in_pod([&](const PodContext& context) -> std::string {
    Launched victim, neighbour;
    if (!run_sleeper(context, &neighbour)) return "no neighbour";
    FullPipe pipe;
    const JoinCgroup stop{0, str("held")};
    PlanBuilder plan;
    plan.plan().pid_mode = PidMode::kTarget;
    plan.plan().parent = str("test");
    plan.add(ActAsPodRoot{});
    add_root(plan);
    if (position == 0) plan.add(stop);
    plan.add(JoinUserNamespace{static_cast<uint32_t>(sys::kCloneNewNs)}).user("0");
    if (position == 1) plan.add(stop);
    plan.execve({"sleep", "100"});
    const int stdio[3] = {-1, -1, -1};
    const int fds[] = {pipe.writer.get()};
    if (!launch(context, plan.get(), fds, 1, neighbour.pidfd, stdio, &victim).ok()) return "launch";
    Report report;
    if (position == 2 && !next_report(&victim, &report)) return "not parked";
    PlanBuilder exec;
    exec.plan().clone_flags = 0;
    exec.plan().flags = kExec;
    exec.plan().parent = str("test");
    exec.add(JoinNamespaces{static_cast<uint32_t>(sys::kCloneNewNs)})
        .add(ActAsPodRoot{})
        .add(JoinUserNamespace{})
        .user("0")
        .execve({"sh", "-c", kProbe});
    const std::string result = summary(run_plan(context, exec, {}, neighbour.pidfd));
    for (Launched* each : {&victim, &neighbour}) {
      sys::pidfd_send_signal(each->pidfd, SIGKILL);
      finish(each);
    }
    return result;
  });
}

const char kRefused[] = "error decode plan user namespace: Invalid argument\n";

}  // namespace

LAUNCH_CASE("root of the pod owns what it sees, and nothing of the host") {
  CHECK(shell("cat /proc/self/uid_map | while read a b c; do echo $a $b $c; done; id -u") ==
        "0 300000 65536\n0\nexit 0");
  CHECK(shell("stat -c %u:%g / /bin/busybox /dev /dev/null /dev/pts /dev/pts/ptmx") ==
        "0:0\n0:0\n0:0\n0:0\n0:0\n0:0\nexit 0");
  CHECK(shell("stat -c %u:%g /dev/host; echo x > /dev/host").find("65534:65534\n") == 0);
  CHECK(shell("echo x > /dev/host").find("Permission denied") != std::string::npos);
  CHECK(shell("echo x > /proc/self/fd/1") == "x\nexit 0");
  CHECK(shell("echo x > /dev/null; id", "1000").find("uid=1000(app) gid=100(users)") == 0);
}

LAUNCH_CASE("files that are made belong to root on the disk") {
  CHECK(in_pod([](const PodContext& context) {
          PlanBuilder plan;
          plan.add(ActAsPodRoot{});
          add_root(plan);
          plan.add(JoinUserNamespace{static_cast<uint32_t>(sys::kCloneNewNs)})
              .user("0")
              .execve({"sh", "-c", "echo x > /made; echo y >> /etc/passwd"});
          const std::string run = summary(run_plan(context, plan));
          struct stat made, copied;
          if (stat("/data/upper/made", &made) != 0 ||
              stat("/data/upper/etc/passwd", &copied) != 0) {
            return run + " not there";
          }
          return run + " " + std::to_string(made.st_uid) + ":" + std::to_string(copied.st_gid);
        }) == "exit 0 0:0");
}

LAUNCH_CASE("mounts of the runtime are locked against the container's root") {
  CHECK(shell("mount -t tmpfs none /etc && ls /etc | grep -c . ; busybox umount /proc/keys "
              "2> /dev/null || echo locked") == "0\nlocked\nexit 0");
}

LAUNCH_CASE("ids outside the map are refused as such") {
  CHECK(shell("true", "app", 500) == "error map ids of user app: Invalid argument\n");
  CHECK(shell("true", "70000") == "error map ids of user 70000: Invalid argument\n");
}

LAUNCH_CASE("a plan that would stay outside the pod's user namespace is not launched") {
  CHECK(in_pod([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).execve({"/bin/sh"});
          return summary(run_plan(context, plan));
        }) == kRefused);
  CHECK(in_pod([](const PodContext& context) {
          PlanBuilder plan = container();
          plan.add(Pivot{}).add(JoinUserNamespace{}).execve({"/bin/sh"});
          return summary(run_plan(context, plan));
        }) == kRefused);
  CHECK(in_monitor([](const PodContext& context) {
          PlanBuilder plan;
          plan.add(ActAsPodRoot{});
          add_root(plan);
          plan.add(JoinUserNamespace{}).execve({"/bin/sh"});
          return summary(run_plan(context, plan));
        }) == kRefused);
}

LAUNCH_CASE("an exec joins the namespaces and is root of the same kind") {
  CHECK(in_pod([](const PodContext& context) -> std::string {
          Launched launched;
          if (!run_sleeper(context, &launched)) return "no sleeper";
          PlanBuilder exec;
          exec.plan().clone_flags = 0;
          exec.plan().flags = kExec;
          exec.plan().parent = str("test");
          exec.add(JoinNamespaces{static_cast<uint32_t>(sys::kCloneNewNs)})
              .add(ActAsPodRoot{})
              .add(JoinUserNamespace{})
              .user("0")
              .execve({"sh", "-c", "id -u; echo $$; echo x > /proc/self/fd/1; echo x > /by-exec"});
          std::string result = summary(run_plan(context, exec, {}, launched.pidfd));
          struct stat made = {};
          stat("/data/upper/by-exec", &made);
          sys::pidfd_send_signal(launched.pidfd, SIGKILL);
          finish(&launched);
          return result + " " + std::to_string(made.st_uid);
        }) == "0\n2\nx\nexit 0 0");
}

LAUNCH_CASE("launches into a user namespace leak no descriptor, and leave the null device alone") {
  struct stat before;
  REQUIRE(stat("/dev/null", &before) == 0);
  CHECK(in_pod([](const PodContext& context) {
          const size_t count = open_descriptors(context);
          for (const char* user : {"0", "70000"}) {
            PlanBuilder plan;
            plan.plan().flags = kTerminal;
            plan.add(ActAsPodRoot{});
            plan.overlay({"lower"}, "upper", "work")
                .add(Mount{str("tmpfs"), str("tmpfs"), str("/dev"), 2, str("mode=755")})
                .add(Mount{str("devpts"), str("devpts"), str("/dev/pts"), 10, str("newinstance")})
                .add(Console{24, 80, 1})
                .add(Pivot{})
                .add(JoinUserNamespace{static_cast<uint32_t>(sys::kCloneNewNs)})
                .user(user)
                .execve({"true"});
            run_plan(context, plan);
          }
          return std::to_string(static_cast<long>(open_descriptors(context) - count));
        }) == "0");
  struct stat now;
  REQUIRE(stat("/dev/null", &now) == 0);
  CHECK(now.st_uid == before.st_uid);
  CHECK(now.st_gid == before.st_gid);
}

LAUNCH_CASE(
    "a neighbour in its PID namespace reaches nothing of a process that is being launched") {
  for (const int position : {0, 1, 2}) {
    CAPTURE(position);
    CHECK(attack(position) ==
          "at 1\nlist fd\nlist root/\nlist cwd/\nlist ns\nlist task/1/fd\n"
          "follow exe\nfollow ns/user\nfollow ns/mnt\nfollow cwd\nfollow root\n"
          "open mem\nopen maps\nopen environ\nat 2\nexit 0");
  }
}
