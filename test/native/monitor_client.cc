#include "test/native/monitor_client.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "native/sys/syscalls.h"
#include "test/native/send_with_fds.h"

namespace coracle::test {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof(address.sun_path));
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Str str(const std::string& text) { return Str{text.data(), static_cast<uint32_t>(text.size())}; }

// The one of the same build, unless CORACLE_MONITOR names another.
std::string monitor_path() {
  if (const char* named = getenv("CORACLE_MONITOR")) return named;
  char self[4096];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof(self));
  const std::string test(self, size > 0 ? static_cast<size_t>(size) : 0);
  return test.substr(0, test.rfind('/')) + "/coracle-monitor";
}

struct Encoded {
  std::vector<uint8_t> bytes;
  void add(const std::function<void(Writer&)>& encode) {
    Writer measure;
    encode(measure);
    const size_t from = bytes.size();
    bytes.resize(from + measure.size());
    Writer writer(bytes.data() + from, measure.size());
    encode(writer);
  }
  Bytes view() const { return Bytes{bytes.data(), static_cast<uint32_t>(bytes.size())}; }
};

}  // namespace

bool wait_until(const std::function<bool()>& condition, int milliseconds) {
  for (int waited = 0; waited < milliseconds; waited += 5) {
    if (condition()) return true;
    const timespec pause{0, 5'000'000};
    nanosleep(&pause, nullptr);
  }
  return condition();
}

bool process_exists(uint32_t pid) { return kill(static_cast<pid_t>(pid), 0) == 0; }

Client::Client(const std::string& socket_path) {
  socket_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(socket_path);
  REQUIRE(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}

Client::~Client() { close(socket_); }

uint32_t Client::send_bytes(MessageType type, const std::vector<uint8_t>& body,
                            const std::vector<int>& fds, uint32_t flags) {
  Frame frame;
  frame.type = type;
  frame.sequence = ++last_;
  frame.flags = flags;
  REQUIRE(send_with_fds(socket_,
                        {{&frame, sizeof(frame)}, {const_cast<uint8_t*>(body.data()), body.size()}},
                        fds, MSG_NOSIGNAL) >= 0);
  return frame.sequence;
}

bool Client::receive(int milliseconds) {
  pollfd waiting{socket_, POLLIN, 0};
  if (poll(&waiting, 1, milliseconds) <= 0) return false;
  std::vector<uint8_t> bytes(kInlineBody + sizeof(Frame));
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)];
  iovec vector{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket_, &header, MSG_CMSG_CLOEXEC);
  if (size < static_cast<ssize_t>(sizeof(Frame))) return false;
  Answer answer;
  memcpy(&answer.frame, bytes.data(), sizeof(Frame));
  if (cmsghdr* rights = CMSG_FIRSTHDR(&header)) memcpy(&answer.fd, CMSG_DATA(rights), sizeof(int));
  std::vector<uint8_t> body(bytes.begin() + sizeof(Frame), bytes.begin() + size);
  if ((answer.frame.flags & kBodyInFd) != 0) {
    struct stat info {};
    fstat(answer.fd, &info);
    body.resize(static_cast<size_t>(info.st_size));
    REQUIRE(pread(answer.fd, body.data(), body.size(), 0) == info.st_size);
    close(answer.fd);
  }
  Reader reader(body.data(), body.size());
  if (answer.frame.sequence == 0) {
    ExitSeen seen;
    decode(reader, seen.status);
    REQUIRE(reader.ok());
    seen.id = seen.status.id.data;
    seen.status.id = Str{};
    exits_.push_back(seen);
    return true;
  }
  Outcome outcome;
  decode(reader, outcome);
  REQUIRE(reader.ok());
  answer.code = outcome.code;
  answer.step = outcome.step.data;
  answer.path = outcome.path.data;
  Writer used;
  encode(used, outcome);
  answer.fields.assign(body.begin() + static_cast<ssize_t>(used.size()), body.end());
  answers_.push_back(answer);
  return true;
}

Answer Client::wait(uint32_t sequence) {
  while (true) {
    for (auto answer = answers_.begin(); answer != answers_.end(); ++answer) {
      if (answer->frame.sequence != sequence) continue;
      Answer found = *answer;
      answers_.erase(answer);
      return found;
    }
    if (!receive(15000)) {
      Answer none;
      none.code = ETIMEDOUT;
      none.step = "no answer";
      return none;
    }
  }
}

ExitSeen Client::next_exit(int milliseconds) {
  while (exits_.empty()) {
    if (!receive(milliseconds)) return {};
  }
  ExitSeen seen = exits_.front();
  exits_.pop_front();
  return seen;
}

Answer Client::named(MessageType type, const std::string& id, const std::vector<int>& fds) {
  return call(type, EntryRequest{str(id)}, fds);
}

Answer Client::signal(const std::string& id, int signal, bool all) {
  return call(MessageType::kSignal, SignalRequest{str(id), signal, all ? uint8_t{1} : uint8_t{0}});
}

bool Client::closed(int milliseconds) {
  return wait_until(
      [&] {
        char byte;
        return recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || errno == ECONNRESET;
      },
      milliseconds);
}

TestPod::TestPod(uint32_t sandbox_flags, bool sandbox) {
  const std::string monitor = monitor_path();
  REQUIRE_MESSAGE(access(monitor.c_str(), X_OK) == 0, "no monitor at ", monitor);
  char name[] = "/tmp/coracle-pod-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  directory = name;
  const std::string make = "cd " + directory +
                           " && mkdir -p exits root/layer/bin root/layer/tmp root/layer/dev"
                           " && mknod -m 666 root/layer/dev/null c 1 3"
                           " && cp /bin/busybox root/layer/bin/busybox"
                           " && ln -s busybox root/layer/bin/sh";
  REQUIRE(system(make.c_str()) == 0);
  const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path("socket"));
  REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(listener, 16) == 0);
  pid = fork();
  if (pid == 0) {
    dup2(listener, 3);
    if (listener == 3) fcntl(3, F_SETFD, 0);
    execl(monitor.c_str(), "coracle-monitor", "test-pod", nullptr);
    _exit(127);
  }
  close(listener);
  client = new Client(path("socket"));
  if (!sandbox) return;
  const Answer made = make_sandbox(*client, sandbox_flags);
  REQUIRE_MESSAGE(made.ok(), made.step, " ", made.path, ": ", strerror(made.code));
  reaper_pid = made.as<SandboxReply>().reaper_pid;
}

Answer TestPod::make_sandbox(Client& on, uint32_t flags) {
  const int tree = sys::open_tree(AT_FDCWD, path("root").c_str(), sys::kOpenTreeClone | O_CLOEXEC);
  const int exits = open(path("exits").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(tree >= 0);
  SandboxRequest request;
  request.unshare_flags = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  request.flags = flags;
  const std::string hostname = "test-host";
  request.hostname = str(hostname);
  request.shm_size = 1 << 20;
  Encoded sysctls;
  const std::string key = "net.ipv4.ip_forward", value = "1";
  sysctls.add([&](Writer& writer) { writer(str(key)), writer(str(value)); });
  request.sysctl_count = 1;
  request.sysctls = sysctls.view();
  const Answer answer = on.call(MessageType::kSandbox, request, {tree, exits});
  close(tree);
  close(exits);
  return answer;
}

TestPod::~TestPod() {
  delete client;
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  REQUIRE(system(("rm -rf --one-file-system " + directory).c_str()) == 0);
}

uint32_t TestPod::send_launch(Client& on, const Process& program) {
  std::vector<int> fds;
  const auto pass = [&](int fd) -> FdIndex {
    if (fd < 0) return kNoFd;
    fds.push_back(fd);
    return static_cast<FdIndex>(fds.size() - 1);
  };
  Encoded steps;
  uint32_t count = 0;
  const auto step = [&](const auto& payload) {
    Encoded body;
    body.add([&](Writer& writer) { encode(writer, payload); });
    steps.add([&](Writer& writer) { writer(payload.kOp), writer(body.view()); });
    ++count;
  };
  int root = -1;
  int tasks = -1;
  if (!program.v1_tasks.empty()) {
    tasks = open(program.v1_tasks.c_str(), O_WRONLY | O_CLOEXEC);
    step(JoinCgroup{pass(tasks), str(program.v1_tasks)});
  }
  const bool exec = (program.flags & kExec) != 0;
  const std::string proc = "proc", proc_path = "/proc", devpts = "devpts", pts = "/dev/pts";
  const std::string pts_options = "newinstance,ptmxmode=0666,mode=0620";
  if (exec) {
    step(JoinNamespaces{CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET});
  } else {
    root = sys::open_tree(AT_FDCWD, path("root/layer").c_str(), sys::kOpenTreeClone | O_CLOEXEC);
    step(RootBind{pass(root), {}});
    step(Mount{str(proc), str(proc), str(proc_path), 0, {}});
    step(Mount{str(devpts), str(devpts), str(pts), 0, str(pts_options)});
  }
  if ((program.flags & kTerminal) != 0) step(Console{24, 80, 0});
  if (!exec) step(Pivot{0});
  // Load the number; kill the process for execve and execveat, allow the rest.
  const sock_filter filter[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_execve},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_execveat},
                                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
                                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  if (program.killed_by_execve) {
    step(Seccomp{{reinterpret_cast<const uint8_t*>(filter), sizeof(filter)}, 0});
  }
  Encoded argv;
  for (const std::string& argument : program.argv) {
    argv.add([&](Writer& writer) { writer(str(argument)); });
  }
  Encoded env;
  const std::string search = "PATH=/bin";
  env.add([&](Writer& writer) { writer(str(search)); });
  step(Execve{static_cast<uint32_t>(program.argv.size()), argv.view(), 1, env.view()});

  LaunchPlan plan;
  plan.id = str(program.id);
  plan.parent = str(program.parent);
  plan.clone_flags = exec ? 0 : static_cast<uint32_t>(CLONE_NEWNS);
  plan.pid_mode = exec ? PidMode::kTarget : program.pid_mode;
  plan.flags = program.flags;
  plan.log.mode = program.log;
  plan.log.stdout_fd = pass(program.log_fd);
  plan.log.stderr_fd = pass(program.stderr_fd);
  plan.stdout_.mode = plan.stderr_.mode = StdioMode::kLog;
  plan.kill_cgroup = pass(program.kill_cgroup);
  plan.step_count = count;
  plan.steps = steps.view();
  const uint32_t sequence = on.send(MessageType::kLaunch, plan, fds);
  if (root >= 0) close(root);
  if (tasks >= 0) close(tasks);
  return sequence;
}

uint32_t TestPod::run(const Process& program) {
  const Answer launched = launch(program);
  REQUIRE_MESSAGE(launched.ok(), launched.step, " ", launched.path, ": ", strerror(launched.code));
  const Answer started = client->named(MessageType::kStart, program.id);
  REQUIRE_MESSAGE(started.ok(), started.step, " ", started.path, ": ", strerror(started.code));
  return launched.as<LaunchReply>().pid;
}

int TestPod::open_log(const std::string& name) const {
  const int fd = open(path(name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  REQUIRE(fd >= 0);
  return fd;
}

std::string TestPod::read(const std::string& name) const {
  const int fd = open(path(name).c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  char buffer[65536];
  for (ssize_t size; fd >= 0 && (size = ::read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(size));
  }
  if (fd >= 0) close(fd);
  return text;
}

std::vector<EntryStatus> TestPod::state() {
  const Answer answer = client->call(MessageType::kState);
  const StateReply reply = answer.as<StateReply>();
  Reader reader(reply.entries.data, reply.entries.size);
  std::vector<EntryStatus> entries;
  for (uint32_t place = 0; place < reply.entry_count; ++place) {
    EntryStatus status;
    decode(reader, status);
    status.id = Str{};
    entries.push_back(status);
  }
  REQUIRE(reader.ok());
  REQUIRE(reader.done());
  return entries;
}

int TestPod::wait_status() {
  int status = -1;
  const bool ended = wait_until([&] { return waitpid(pid, &status, WNOHANG) == pid; });
  if (ended) pid = -1;
  return ended ? status : -1;
}

}  // namespace coracle::test
