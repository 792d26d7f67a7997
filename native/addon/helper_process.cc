#include "native/addon/helper_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <utility>

namespace coracle {
namespace {

// A killed helper is waited for this long when its environment goes away; beyond that it is left
// to be reaped with this process.
constexpr int kReapPatienceMs = 50;

struct Pipe {
  Fd read, write;
};

Failure make_pipe(Pipe* pipe) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_failure("make pipe");
  pipe->read = Fd(ends[0]);
  pipe->write = Fd(ends[1]);
  return {};
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (const std::string& text : strings) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// What execvp(3) would run, looked up before the clone.
std::string find_program(const HelperRequest& request) {
  if (request.file.find('/') != std::string::npos) return request.file;
  std::string path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (const std::string& entry : request.env) {
    if (entry.starts_with("PATH=")) path = entry.substr(5);
  }
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find(':', start), path.size());
    const std::string candidate = path.substr(start, end - start) + "/" + request.file;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return {};
}

}  // namespace

Failure start_helper(const HelperRequest& request, StartedHelper* helper) {
  const std::string program = find_program(request);
  if (program.empty()) return Failure{ENOENT, "exec", request.file};
  Pipe input, output, errors;
  for (Pipe* pipe : {&input, &output, &errors}) {
    Failure failure = make_pipe(pipe);
    if (failure.failed()) return failure;
  }
  for (const Fd* ours : {&input.write, &output.read, &errors.read}) {
    if (fcntl(ours->get(), F_SETFL, O_NONBLOCK) != 0) return system_failure("make pipe");
  }
  const std::vector<char*> argv = pointers(request.argv), env = pointers(request.env);
  ExecRequest exec;
  exec.file = program.c_str();
  exec.argv = argv.data();
  exec.env = env.data();
  exec.cwd = request.cwd.empty() ? nullptr : request.cwd.c_str();
  exec.fds[0] = input.read.get();
  exec.fds[1] = output.write.get();
  exec.fds[2] = errors.write.get();
  Failure failure = vfork_exec(exec, &helper->child);
  if (failure.failed()) return failure;
  helper->input = std::move(input.write);
  helper->output = std::move(output.read);
  helper->errors = std::move(errors.read);
  return {};
}

HelperProcess::HelperProcess(uv_loop_t* loop, const HelperRequest& request, StartedHelper started,
                             Done done)
    : loop_(loop),
      child_(std::move(started.child)),
      input_(request.input),
      max_output_(request.max_output),
      done_(std::move(done)),
      input_fd_(std::move(started.input)),
      output_{std::move(started.output), &result_.output, nullptr},
      errors_{std::move(started.errors), &result_.errors, nullptr} {
  for (Stream* stream : {&output_, &errors_}) {
    stream->poll =
        std::make_unique<UvPoll>(loop_, stream->fd.get(), [this, stream](int) { drain(*stream); });
    if (stream->poll->valid()) stream->poll->start(UV_READABLE);
  }
  exit_poll_ = std::make_unique<UvPoll>(loop_, child_.pidfd.get(), [this](int) { on_exit(); });
  if (exit_poll_->valid()) {
    exit_poll_->start(UV_READABLE);
    exit_poll_->ref();
  }
  if (request.timeout_ms != 0) {
    timer_ = new uv_timer_t;
    uv_timer_init(loop_, timer_);
    timer_->data = this;
    uv_timer_start(
        timer_, [](uv_timer_t* timer) { static_cast<HelperProcess*>(timer->data)->on_timeout(); },
        request.timeout_ms, 0);
    uv_unref(reinterpret_cast<uv_handle_t*>(timer_));
  }
  feed();
}

HelperProcess::~HelperProcess() {
  if (timer_ != nullptr) {
    uv_close(reinterpret_cast<uv_handle_t*>(timer_),
             [](uv_handle_t* timer) { delete reinterpret_cast<uv_timer_t*>(timer); });
  }
  if (exited_) return;
  exit_poll_.reset();
  kill(-child_.pid, SIGKILL);
  pollfd wait = {child_.pidfd.get(), POLLIN, 0};
  if (poll(&wait, 1, kReapPatienceMs) > 0) reap_child(child_.pidfd.get());
}

void HelperProcess::feed() {
  while (fed_ < input_.size()) {
    // A helper that has closed its input is no error; SIGPIPE is ignored in Node.
    const ssize_t count = write(input_fd_.get(), input_.data() + fed_, input_.size() - fed_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      if (input_poll_ == nullptr) {
        input_poll_ = std::make_unique<UvPoll>(loop_, input_fd_.get(), [this](int) { feed(); });
        if (input_poll_->valid()) return input_poll_->start(UV_WRITABLE);
      } else {
        return;
      }
    }
    if (count < 0) break;
    fed_ += static_cast<size_t>(count);
  }
  input_poll_.reset();
  input_fd_.reset();
}

void HelperProcess::drain(Stream& stream) {
  char buffer[16384];
  // Bounded, so that an endless writer cannot hold the loop.
  for (int turn = 0; turn < 16 && stream.fd; turn++) {
    const ssize_t count = read(stream.fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      stream.poll.reset();
      stream.fd.reset();
      return;
    }
    const size_t room = max_output_ - stream.text->size();
    stream.text->append(buffer, std::min(static_cast<size_t>(count), room));
  }
}

void HelperProcess::on_exit() {
  const int status = reap_child(child_.pidfd.get());
  if (status < 0) return;
  exited_ = true;
  exit_poll_.reset();
  drain(output_);
  drain(errors_);
  result_.wait_status = status;
  // `done` destroys this object.
  HelperResult result = std::move(result_);
  const Done done = std::move(done_);
  done(result);
}

void HelperProcess::on_timeout() {
  result_.timed_out = true;
  kill(-child_.pid, SIGKILL);
}

}  // namespace coracle
