// Clients, processes and attach clients that do to a monitor whatever libFuzzer makes up. Beyond
// the sanitizers: every request of a client that stays is answered once, a shutdown ends, and the
// monitor keeps no descriptor and no process. Needs root.
//
// An input is a list of acts, each a byte and what the act takes. Acts that do not apply are
// passed over, so that most of the inputs mean something. With CORACLE_FUZZ_SHOW in the environment
// answers are printed, to see what an input does.
#include "native/monitor/monitor.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "test/fuzz/monitor_world.h"
#include "test/native/send_with_fds.h"

using namespace coracle;

namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "monitor fuzzer: %s\n", what);
  __builtin_trap();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  uint8_t byte() { return empty() ? 0 : *at_++; }
  uint16_t word() { return static_cast<uint16_t>(byte() | byte() << 8); }
  std::vector<uint8_t> bytes(size_t size) {
    const size_t count = std::min(size, static_cast<size_t>(end_ - at_));
    at_ += count;
    return {at_ - count, at_};
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

struct Client {
  Fd socket;
  uint32_t last = 0;
  bool counted = true;  // false once it has sent frames of its own making
  std::map<uint32_t, MessageType> unanswered;
};

constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

int listener = -1;
sockaddr_un address{};
socklen_t address_size = sizeof(sa_family_t);
int exit_directory = -1;

size_t open_descriptors() {
  static std::array<pollfd, 1024> all;
  for (size_t fd = 0; fd < all.size(); ++fd) all[fd] = {static_cast<int>(fd), 0, 0};
  poll(all.data(), all.size(), 0);
  return static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const pollfd& fd) {
    return fd.revents == 0 || (fd.revents & POLLNVAL) == 0;
  }));
}

class World {
 public:
  World() {
    expect(open_monitor(monitor_, fcntl(listener, F_DUPFD_CLOEXEC, 3), "fuzz"), "no epoll");
  }

  void act(Input& in);
  void end();

 private:
  static constexpr size_t kClients = 4;

  void send(Client& client, Input& in);
  void send_frame(Client& client, Frame frame, const std::vector<uint8_t>& body,
                  const std::vector<int>& fds);
  Fd descriptor(uint8_t kind);
  void read_answers(Client& client);
  void report(fuzz::Child& child, Input& in);
  void check_tables();
  void release_all();

  fuzz::Child* child(uint8_t which) {
    if (fuzz::children.empty()) return nullptr;
    return &*std::next(fuzz::children.begin(), which % fuzz::children.size());
  }
  Fd* far_end(uint8_t which) {
    return far_ends_.empty() ? nullptr : &far_ends_[which % far_ends_.size()];
  }

  Monitor monitor_;
  std::array<Client, kClients> clients_;
  std::vector<Fd> far_ends_;  // of pipes and sockets that the monitor was given
  std::vector<Fd> pid_lists_;
};

// Something to hand over. Nothing here makes a writer or reader wait: the monitor is given logs
// that are files, but nobody keeps a client from passing it other things.
Fd World::descriptor(uint8_t kind) {
  int ends[2] = {-1, -1};
  switch (kind % 10) {
    case 0:
      return Fd(openat(exit_directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    case 1:
      return Fd(openat(exit_directory, ".", O_TMPFILE | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
    case 2:
    case 3:
      expect(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
      if (kind % 10 == 3) std::swap(ends[0], ends[1]);
      far_ends_.emplace_back(ends[0]);
      return Fd(ends[1]);
    case 4:
      expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
             "no socket");
      far_ends_.emplace_back(ends[0]);
      return Fd(ends[1]);
    case 5:
      return Fd(memfd_create("file", MFD_CLOEXEC));
    case 6: {
      // A cgroup.procs of cgroup v1, with every process there is.
      const Fd list(openat(exit_directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
      for (const fuzz::Child& each : fuzz::children) dprintf(list.get(), "%d\n", each.pid);
      char path[32];
      snprintf(path, sizeof(path), "/proc/self/fd/%d", list.get());
      pid_lists_.emplace_back(open(path, O_WRONLY | O_CLOEXEC));
      return Fd(open(path, O_RDONLY | O_CLOEXEC));
    }
    case 7:
      return Fd(open("/dev/full", O_WRONLY | O_CLOEXEC));
    case 8: {
      const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
      return Fd(master);
    }
    default:
      return Fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  }
}

void World::send_frame(Client& client, Frame frame, const std::vector<uint8_t>& body,
                       const std::vector<int>& fds) {
  const ssize_t sent = test::send_with_fds(
      client.socket.get(),
      {{&frame, sizeof(frame)}, {const_cast<uint8_t*>(body.data()), body.size()}}, fds, kSendFlags);
  if (sent >= 0 && frame.sequence != 0) client.unanswered[frame.sequence] = frame.type;
}

// {type, options, number and kinds of descriptors, size and bytes of the body}
void World::send(Client& client, Input& in) {
  enum : uint8_t { kInFile = 1, kRaw = 2 };
  const uint8_t type = in.byte();
  const uint8_t options = in.byte();
  std::vector<Fd> fds;
  for (size_t count = in.byte() % 16; fds.size() < count;) fds.push_back(descriptor(in.byte()));
  std::vector<uint8_t> body = in.bytes(in.word());
  if ((options & kRaw) != 0) {
    ::send(client.socket.get(), body.data(), body.size(), kSendFlags);
    client.counted = false;
    return;
  }
  Frame frame;
  frame.type = static_cast<MessageType>(type);
  frame.sequence = ++client.last;
  if ((options & kInFile) != 0) {
    frame.flags = kBodyInFd;
    Fd file(memfd_create("body", MFD_CLOEXEC));
    expect(write(file.get(), body.data(), body.size()) == static_cast<ssize_t>(body.size()),
           "no body");
    fds.insert(fds.begin(), std::move(file));
    if (fds.size() > 16) fds.pop_back();
    body.clear();
  }
  std::vector<int> numbers;
  for (const Fd& fd : fds) {
    if (fd) numbers.push_back(fd.get());
  }
  send_frame(client, frame, body, numbers);
}

void World::read_answers(Client& client) {
  static std::array<uint8_t, kReceiveBuffer> buffer;
  while (client.socket) {
    Message message;
    int error = 0;
    const Received received = receive(client.socket.get(), buffer.data(), &message, &error);
    if (received == Received::kNothing) return;
    if (received != Received::kMessage) return client.socket.reset();
    Reader reader(message.body.data, message.body.size);
    if (message.frame.sequence == 0 && message.frame.type == MessageType::kExit) {
      ExitEvent exit;
      decode(reader, exit);
      expect(reader.ok() && reader.done() && exit.state == EntryState::kExited, "bad event");
      continue;
    }
    Outcome outcome;
    decode(reader, outcome);
    expect(reader.ok(), "bad answer");
    static const bool shown = getenv("CORACLE_FUZZ_SHOW") != nullptr;
    if (shown) {
      fprintf(stderr, "%u: type %#x: %s %s: %s\n", message.frame.sequence,
              static_cast<unsigned>(message.frame.type), outcome.step.data, outcome.path.data,
              strerror(outcome.code));
    }
    const auto asked = client.unanswered.find(message.frame.sequence);
    if (!client.counted) continue;
    expect(asked != client.unanswered.end(), "an answer that nobody waits for");
    expect(static_cast<uint16_t>(message.frame.type) ==
               (static_cast<uint16_t>(asked->second) | static_cast<uint16_t>(MessageType::kReply)),
           "an answer to another request");
    client.unanswered.erase(asked);
  }
}

// A child's datagram: {kind, descriptor or 0xff, size and bytes of the rest}
void World::report(fuzz::Child& child, Input& in) {
  static Report record;
  memset(static_cast<void*>(&record), 0, sizeof(record));
  record.kind = static_cast<ReportKind>(in.byte() % 4);
  const uint8_t kind = in.byte();
  const std::vector<uint8_t> rest = in.bytes(in.byte());
  const size_t after_kind = sizeof(record.kind);
  std::copy(rest.begin(), rest.end(), reinterpret_cast<uint8_t*>(&record) + after_kind);
  const Fd fd = kind == 0xff ? Fd() : descriptor(kind);
  if (!child.report) return;
  const size_t size = record.kind == ReportKind::kTerminal ? after_kind : sizeof(record);
  test::send_with_fds(child.report.get(), {{&record, size}},
                      fd ? std::vector<int>{fd.get()} : std::vector<int>{}, kSendFlags);
}

void World::act(Input& in) {
  enum : uint8_t {
    kConnect,
    kSend,
    kRead,
    kHangUp,
    kTurn,
    kReport,
    kSilence,
    kDie,
    kWrite,
    kCloseStream,
    kFarWrite,
    kFarRead,
    kFarClose,
    kActs
  };
  const uint8_t act = in.byte() % kActs;
  const uint8_t which = in.byte();
  Client& client = clients_[which % kClients];
  switch (act) {
    case kConnect:
      if (client.socket) return;
      client = Client{};
      client.socket = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (connect(client.socket.get(), reinterpret_cast<const sockaddr*>(&address), address_size) !=
          0)
        client.socket.reset();
      return;
    case kSend:
      if (client.socket) send(client, in);
      return;
    case kRead:
      return read_answers(client);
    case kHangUp:
      return client.socket.reset();
    case kTurn:
      for (int turns = which % 8; turns >= 0 && !monitor_.done; --turns) turn(monitor_, 0);
      return check_tables();
    case kReport:
      if (fuzz::Child* reporter = child(which)) report(*reporter, in);
      return;
    case kSilence:
      if (fuzz::Child* silent = child(which)) silent->report.reset();
      return;
    case kDie:
      if (fuzz::Child* dying = child(which)) dying->die();
      return;
    case kWrite: {
      const std::vector<uint8_t> bytes = in.bytes(in.byte());
      const int repeated = in.byte();
      fuzz::Child* writer = child(which);
      for (int times = 0; writer != nullptr && times <= repeated; ++times) {
        Fd& stream = writer->stdio[1 + which / 128];
        if (!stream) break;
        fcntl(stream.get(), F_SETFL, fcntl(stream.get(), F_GETFL) | O_NONBLOCK);
        (void)!write(stream.get(), bytes.data(), bytes.size());
      }
      return;
    }
    case kCloseStream:
      if (fuzz::Child* closer = child(which)) closer->stdio[which / 64 % 3].reset();
      return;
    case kFarWrite: {
      const std::vector<uint8_t> bytes = in.bytes(in.byte());
      if (Fd* end = far_end(which)) (void)!write(end->get(), bytes.data(), bytes.size());
      return;
    }
    case kFarRead: {
      static std::array<uint8_t, 65536> buffer;
      if (Fd* end = far_end(which)) (void)!read(end->get(), buffer.data(), buffer.size());
      return;
    }
    case kFarClose:
      if (Fd* end = far_end(which)) end->reset();
      return;
  }
}

void World::check_tables() {
  uint32_t entries = 0;
  monitor_.entries.each([&](Entry& entry) {
    ++entries;
    uint32_t watching = 0;
    monitor_.clients.each([&](AttachClient& client) {
      const bool its = client.slot == monitor_.entries.slot_of(&entry) &&
                       client.entry_generation == entry.generation;
      watching += its ? 1 : 0;
      expect(client.output || client.input, "a client without an end");
    });
    expect(watching == entry.clients, "clients of an entry miscounted");
  });
  expect(entries == monitor_.entries.size(), "entries miscounted");
}

void World::end() {
  // Whatever was asked is read; processes that the answers wait for end.
  for (Client& client : clients_) {
    int unread = 1;
    for (int turns = 0; client.socket && unread > 0 && turns < 1000 && !monitor_.done; ++turns) {
      turn(monitor_, 0);
      for (Client& each : clients_) read_answers(each);
      if (client.socket) ioctl(client.socket.get(), TIOCOUTQ, &unread);
    }
  }
  // After a client's own shutdown others are not listened to any more.
  const bool ended_early = monitor_.shutting_down;
  for (const Fd& list : pid_lists_) (void)!ftruncate(list.get(), 0);
  for (fuzz::Child& each : fuzz::children) each.let_go();
  far_ends_.clear();
  begin_shutdown(monitor_);
  for (int turns = 0; turns < 15'000 && !monitor_.done; ++turns) {
    turn(monitor_, 1);
    for (Client& client : clients_) read_answers(client);
  }
  expect(monitor_.done, "a shutdown that does not end");
  for (Client& client : clients_) {
    read_answers(client);
    const bool waits = client.socket && client.counted && !client.unanswered.empty();
    expect(ended_early || !waits, "a request without answer");
  }
  release_all();
}

// A monitor that is done ends, and leaves what it holds to the kernel.
void World::release_all() {
  for (uint32_t slot = 0; slot < Monitor::kMaxConnections; ++slot) close_client(monitor_, slot);
  monitor_.entries.each([&](Entry& entry) { release_entry(monitor_, entry); });
  monitor_.clients.each([&](AttachClient& client) { handle_output(monitor_, client, POLLERR); });
  int clients = 0;
  monitor_.clients.each([&](AttachClient&) { ++clients; });
  expect(monitor_.entries.size() == 0 && clients == 0, "something is left in the tables");
  for (const fuzz::Child& each : fuzz::children) {
    expect(sys::pidfd_send_signal(each.pidfd.get(), 0) != 0 && errno == ESRCH, "a process is left");
  }
  fuzz::children.clear();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (!fuzz::leave_host()) {
    fprintf(stderr, "monitor fuzzer: root is needed\n");
    _exit(69);  // EX_UNAVAILABLE of sysexits(3); none of libFuzzer's own
  }
  signal(SIGPIPE, SIG_IGN);
  exit_directory = fuzz::make_directory();
  listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  address.sun_family = AF_UNIX;
  expect(bind(listener, reinterpret_cast<const sockaddr*>(&address), address_size) == 0 &&
             listen(listener, 16) == 0,
         "no listener");
  address_size = sizeof(address);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &address_size);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const size_t before = open_descriptors();
  {
    World world;
    Input in(data, size);
    while (!in.empty()) world.act(in);
    world.end();
  }
  expect(open_descriptors() == before, "a descriptor is left open");
  return 0;
}
