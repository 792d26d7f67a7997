#include "test/native/pod_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle::test {
namespace {

namespace fs = std::filesystem;

const char kBusybox[] = "/bin/busybox";

void fill(const fs::path& base) {
  for (const char* name : {"lower/bin", "lower/etc", "lower/proc", "upper", "work"}) {
    fs::create_directories(base / name);
  }
  fs::copy_file(kBusybox, base / "lower/bin/busybox");
  for (const char* name : {"sh", "cat", "ls", "id", "pwd", "env", "sleep", "readlink", "stat",
                           "echo", "umask", "hostname", "mount", "tty", "kill", "grep"}) {
    fs::create_symlink("busybox", base / "lower/bin" / name);
  }
  std::ofstream(base / "lower/etc/passwd")
      << "root:x:0:0:root:/root:/bin/sh\napp:x:1000:100:App:/home/app:/bin/sh\n";
  std::ofstream(base / "lower/etc/group") << "root:x:0:\nusers:x:100:\nextra:x:200:app\n";
  chmod((base / "lower").c_str(), 0755);
}

[[noreturn]] void give_up(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  _exit(99);
}

Fd tmpfs() {
  Fd fs(sys::fsopen("tmpfs"));
  if (sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) give_up("tmpfs");
  return Fd(sys::fsmount(fs.get(), 0));
}

void enter(const fs::path& base, PodContext* context) {
  Fd data(sys::open_tree(AT_FDCWD, base.c_str(), sys::kOpenTreeClone | sys::kAtRecursive));
  context->devnull_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  context->self_pidns_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  Fd proc(sys::fsopen("proc"));
  if (sys::fsconfig(proc.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) give_up("proc");
  context->proc_fd = sys::fsmount(proc.get(), 0);
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    give_up("unshare");
  }
  Fd root = tmpfs();
  for (const char* name : {"data", "rootfs", "shm"}) mkdirat(root.get(), name, 0755);
  if (sys::move_mount(root.get(), "", AT_FDCWD, "/", sys::kMoveMountFromEmptyPath) != 0 ||
      fchdir(root.get()) != 0 || sys::pivot_root(".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
      chdir("/") != 0 ||
      sys::move_mount(data.get(), "", AT_FDCWD, "/data", sys::kMoveMountFromEmptyPath) != 0) {
    give_up("enter root");
  }
  Fd shm = tmpfs();
  if (sys::move_mount(shm.get(), "", AT_FDCWD, "/shm", sys::kMoveMountFromEmptyPath) != 0) {
    give_up("shm");
  }
  context->shm_fd = shm.release();
  context->data_fd = open("/data", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (context->proc_fd < 0 || context->data_fd < 0) give_up("open");
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof(buffer))) > 0)
    text.append(buffer, static_cast<size_t>(got));
  return text;
}

std::string describe(const char* step, const char* path, int code) {
  return std::string(step) + (path[0] != 0 ? " " : "") + path + ": " + strerror(code);
}

}  // namespace

bool can_launch() { return geteuid() == 0 && access(kBusybox, X_OK) == 0; }

std::string in_monitor(const std::function<std::string(const PodContext&)>& body) {
  char name[] = "/tmp/coracle-launch-XXXXXX";
  if (mkdtemp(name) == nullptr) return "no directory";
  chmod(name, 0755);
  fill(name);
  int line[2];
  if (pipe2(line, O_CLOEXEC) != 0) return "no pipe";
  pid_t pid = fork();
  if (pid == 0) {
    close(line[0]);
    signal(SIGPIPE, SIG_IGN);
    PodContext context;
    enter(name, &context);
    std::string result = body(context);
    (void)!write(line[1], result.data(), result.size());
    _exit(0);
  }
  close(line[1]);
  std::string result = read_all(line[0]);
  close(line[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  fs::remove_all(name);
  return status == 0 ? result : "died: " + std::to_string(status) + " " + result;
}

bool next_report(Launched* launched, Report* report) {
  for (;;) {
    switch (read_report(launched, report)) {
      case ReportResult::kReport:
        return true;
      case ReportResult::kEnd:
        return false;
      case ReportResult::kNone:
        break;
    }
    pollfd wait = {launched->report_fd, POLLIN, 0};
    poll(&wait, 1, 10000);
  }
}

int finish(Launched* launched) {
  siginfo_t info = {};
  waitid(P_PIDFD, static_cast<id_t>(launched->pidfd), &info, WEXITED | __WALL);
  for (int fd : {launched->pidfd, launched->wake_fd, launched->report_fd, launched->terminal_fd}) {
    if (fd >= 0) close(fd);
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

Run run_plan(const PodContext& context, PlanBuilder& plan, std::vector<int> fds, int parent_pidfd) {
  Run outcome;
  int line[2];
  if (pipe2(line, O_CLOEXEC) != 0) give_up("pipe");
  int stdio[3] = {-1, line[1], line[1]};
  Launched launched;
  Error error = launch(context, plan.get(), fds.data(), fds.size(), parent_pidfd, stdio, &launched);
  close(line[1]);
  if (!error.ok()) {
    close(line[0]);
    outcome.error = describe(error.step, error.path, error.code);
    return outcome;
  }
  while (next_report(&launched, &outcome.report)) {
    if (outcome.report.kind == ReportKind::kError) {
      outcome.error = describe(outcome.report.step, outcome.report.path, outcome.report.code);
    } else {
      outcome.ready = true;
      if (launched.wake_fd >= 0) (void)!write(launched.wake_fd, "g", 1);
    }
  }
  outcome.executed = outcome.ready && outcome.error.empty();
  outcome.text = read_all(line[0]);
  close(line[0]);
  if (launched.terminal_fd >= 0) outcome.text += read_all(launched.terminal_fd);
  outcome.status = finish(&launched);
  return outcome;
}

std::string summary(const Run& run) {
  if (!run.error.empty()) return "error " + run.error + "\n" + run.text;
  return run.text + "exit " + std::to_string(run.status);
}

PlanBuilder container() {
  PlanBuilder builder;
  builder.overlay({"lower"}, "upper", "work")
      .add(Mount{str("proc"), str("proc"), str("/proc"), 14, str("")})
      .add(Mount{str("tmpfs"), str("tmpfs"), str("/dev"), 2, str("mode=755,size=65536k")})
      .add(Mount{str("devpts"), str("devpts"), str("/dev/pts"), 10,
                 str("newinstance,ptmxmode=0666,mode=0620,gid=5")})
      .add(Mknod{str("/dev/null"), S_IFCHR | 0666, 1, 3, 0, 0})
      .add(Symlink{str("pts/ptmx"), str("/dev/ptmx")});
  return builder;
}

size_t open_descriptors(const PodContext& context) {
  Fd directory(openat(context.proc_fd, "self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* entries = fdopendir(directory.release());
  size_t count = 0;
  while (readdir(entries) != nullptr) ++count;
  closedir(entries);
  return count;
}

}  // namespace coracle::test
