// A pod for tests: starts a real monitor, speaks to it with the C++ codec, and cleans up after it.
#ifndef CORACLE_TEST_NATIVE_MONITOR_CLIENT_H_
#define CORACLE_TEST_NATIVE_MONITOR_CLIENT_H_

#include <stdint.h>
#include <sys/types.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "native/plan/protocol.h"
#include "native/plan/steps.h"
#include "test/native/plan_fixture.h"

namespace coracle::test {

struct Answer {
  Frame frame;
  int code = 0;
  std::string step, path;
  std::vector<uint8_t> fields;  // what follows the outcome
  int fd = -1;

  bool ok() const { return code == 0; }
  template <typename T>
  T as() const {
    T value{};
    decode(Bytes{fields.data(), static_cast<uint32_t>(fields.size())}, value);
    return value;
  }
};

struct ExitSeen {
  std::string id;
  EntryStatus status;  // its id is empty
};

// One connection. Calls wait for their reply; exit events that come meanwhile are kept.
class Client {
 public:
  explicit Client(const std::string& socket_path);
  ~Client();
  Client(const Client&) = delete;

  template <typename T>
  Answer call(MessageType type, const T& body, const std::vector<int>& fds = {}) {
    return wait(send(type, body, fds));
  }
  Answer call(MessageType type) { return wait(send_bytes(type, {}, {}, 0)); }
  template <typename T>
  uint32_t send(MessageType type, const T& body, const std::vector<int>& fds = {}) {
    return send_bytes(type, encoded(body), fds, 0);
  }
  uint32_t send_bytes(MessageType type, const std::vector<uint8_t>& body,
                      const std::vector<int>& fds, uint32_t flags);
  Answer wait(uint32_t sequence);
  // Waits up to five seconds; id is empty if none came.
  ExitSeen next_exit(int milliseconds = 5000);
  Answer named(MessageType type, const std::string& id, const std::vector<int>& fds = {});
  Answer signal(const std::string& id, int signal, bool all = false);
  // True once the monitor has closed its end.
  bool closed(int milliseconds = 5000);
  int socket() const { return socket_; }

 private:
  bool receive(int milliseconds);

  int socket_ = -1;
  uint32_t last_ = 0;
  std::deque<Answer> answers_;
  std::deque<ExitSeen> exits_;
};

// A container or exec, turned into a LaunchPlan by TestPod::launch.
struct Process {
  std::string id = {};
  std::vector<std::string> argv = {};
  std::string parent = {};
  uint32_t flags = 0;
  PidMode pid_mode = PidMode::kNew;
  LogMode log = LogMode::kNone;
  int log_fd = -1;
  int stderr_fd = -1;
  int kill_cgroup = -1;
  bool killed_by_execve = false;  // a seccomp filter answers execve with SIGSYS
  std::string v1_tasks = {};      // joined before exec
};

class TestPod {
 public:
  // Starts a monitor; makes the sandbox unless told otherwise.
  explicit TestPod(uint32_t sandbox_flags = 0, bool sandbox = true);
  ~TestPod();
  TestPod(const TestPod&) = delete;

  Answer make_sandbox(Client& client, uint32_t flags);
  uint32_t send_launch(Client& on, const Process& program);
  Answer launch(const Process& program) { return client->wait(send_launch(*client, program)); }
  // launch and start, both of which must succeed.
  uint32_t run(const Process& program);

  std::string path(const std::string& name) const { return directory + "/" + name; }
  int open_log(const std::string& name) const;
  std::string read(const std::string& name) const;
  std::vector<EntryStatus> state();  // ids are empty
  // Waits for the monitor to end by itself. -1 where it does not within five seconds.
  int wait_status();

  std::string directory;
  pid_t pid = -1;
  uint32_t reaper_pid = 0;
  Client* client = nullptr;
};

bool wait_until(const std::function<bool()>& condition, int milliseconds = 5000);
bool process_exists(uint32_t pid);

}  // namespace coracle::test

#endif  // CORACLE_TEST_NATIVE_MONITOR_CLIENT_H_
