// Helper programs (CNI plugins, OCI binaries): started by a worker thread, watched by the loop.
#ifndef CORACLE_NATIVE_ADDON_HELPER_PROCESS_H_
#define CORACLE_NATIVE_ADDON_HELPER_PROCESS_H_

#include <stdint.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/addon/uv_poll.h"
#include "native/addon/vfork_exec.h"

namespace coracle {

struct HelperRequest {
  std::string file;  // a path, or a name looked up in the PATH of `env`
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value"
  std::string input;             // its standard input, followed by end of file
  std::string cwd;               // empty: the caller's
  uint64_t timeout_ms = 0;       // 0: none
  size_t max_output = 1 << 20;   // bytes kept of each output stream; what follows is dropped
};

struct HelperResult {
  int wait_status = 0;  // as of wait(2)
  std::string output, errors;
  bool timed_out = false;
};

struct StartedHelper {
  Child child;
  Fd input, output, errors;  // our ends, non-blocking
};

// Blocks until the program has been exec'd.
Failure start_helper(const HelperRequest& request, StartedHelper* helper);

// Loop thread only. Feeds and drains a started helper and calls `done` once, when it has exited
// and what it wrote is read. A background process that keeps its pipes open is not waited for.
// After the timeout, and when this object is destroyed first, its session is killed.
class HelperProcess {
 public:
  using Done = std::function<void(HelperResult&)>;
  HelperProcess(uv_loop_t* loop, const HelperRequest& request, StartedHelper started, Done done);
  ~HelperProcess();
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;

 private:
  struct Stream {
    Fd fd;
    std::string* text;
    std::unique_ptr<UvPoll> poll;
  };
  void feed();
  // Reads what is there now; closes the stream at its end.
  void drain(Stream& stream);
  void on_exit();
  void on_timeout();

  uv_loop_t* loop_;
  Child child_;
  std::string input_;
  size_t fed_ = 0;
  size_t max_output_;
  HelperResult result_;
  Done done_;
  bool exited_ = false;
  Fd input_fd_;
  Stream output_, errors_;
  std::unique_ptr<UvPoll> input_poll_, exit_poll_;
  uv_timer_t* timer_ = nullptr;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_HELPER_PROCESS_H_
