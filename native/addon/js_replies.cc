#include "native/addon/js_replies.h"

#include <string.h>
#include <sys/wait.h>

#include <string>

namespace coracle {
namespace {

Napi::Value text(Napi::Env env, const Str& value) {
  return Napi::String::New(env, value.data, value.size);
}

const char* state_name(EntryState state) {
  switch (state) {
    case EntryState::kParked:
      return "parked";
    case EntryState::kRunning:
      return "running";
    case EntryState::kExited:
      return "exited";
  }
  return "exited";
}

Napi::Value read_groups(Napi::Env env, Reader& fields, const LaunchReply& reply) {
  if (reply.groups.size != reply.group_count * sizeof(uint32_t)) fields.fail();
  Napi::Array groups = Napi::Array::New(env);
  for (uint32_t i = 0; fields.ok() && i < reply.group_count; i++) {
    uint32_t group;
    memcpy(&group, reply.groups.data + i * sizeof(group), sizeof(group));
    groups[i] = Napi::Number::New(env, group);
  }
  return groups;
}

Napi::Value read_warnings(Napi::Env env, uint32_t bits) {
  Napi::Array warnings = Napi::Array::New(env);
  uint32_t count = 0;
  if ((bits & kOomScoreClamped) != 0) warnings[count++] = Napi::String::New(env, "oomScoreAdj");
  if ((bits & kRlimitClamped) != 0) warnings[count++] = Napi::String::New(env, "rlimit");
  return warnings;
}

// Leaves out what the monitor does not tell or the launch has not done.
void set_seconds(Napi::Env env, Napi::Object& out, const char* name, uint64_t ns) {
  if (ns != 0) out.Set(name, Napi::Number::New(env, static_cast<double>(ns) / 1e9));
}

Napi::Value read_times(Napi::Env env, const LaunchTimes& times, uint64_t exec_ns) {
  Napi::Object out = Napi::Object::New(env);
  set_seconds(env, out, "clone", times.clone);
  set_seconds(env, out, "cgroup", times.cgroup);
  set_seconds(env, out, "mounts", times.mounts);
  set_seconds(env, out, "process", times.process);
  set_seconds(env, out, "exec", exec_ns);
  return out;
}

int exit_code(int wait) { return WIFSIGNALED(wait) ? 128 + WTERMSIG(wait) : WEXITSTATUS(wait); }

// More than this is handed over as it is, less is copied: a buffer that is not V8's own costs more.
constexpr size_t kCopied = 64 * 1024;

Napi::Value take_bytes(Napi::Env env, std::vector<uint8_t>& bytes) {
  if (bytes.size() <= kCopied) {
    return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
  }
  auto* owned = new std::vector<uint8_t>(std::move(bytes));
  const auto release = [](Napi::Env, uint8_t*, std::vector<uint8_t>* kept) { delete kept; };
  return Napi::Buffer<uint8_t>::New(env, owned->data(), owned->size(), release, owned);
}

// Nothing is set where nothing was written, and no end where the stream has ended.
void set_output(Napi::Env env, Napi::Object& out, const char* name, const char* rest,
                RunOutput& stream) {
  stream.finish();
  if (!stream.bytes().empty()) out.Set(name, take_bytes(env, stream.bytes()));
  if (stream.rest()) out.Set(rest, Napi::Number::New(env, stream.rest().release()));
}

}  // namespace

Napi::Value to_js(Napi::Env env, const EntryStatus& status) {
  const bool exited = status.state == EntryState::kExited;
  const int signal = exited && WIFSIGNALED(status.wait_status) ? WTERMSIG(status.wait_status) : 0;
  const int code = exited ? exit_code(status.wait_status) : 0;
  Napi::Object out = Napi::Object::New(env);
  out.Set("id", text(env, status.id));
  out.Set("state", state_name(status.state));
  out.Set("exec", Napi::Boolean::New(env, status.exec != 0));
  out.Set("pid", Napi::Number::New(env, status.pid));
  out.Set("startedAt", Napi::BigInt::New(env, status.started_at));
  out.Set("finishedAt", Napi::BigInt::New(env, status.finished_at));
  out.Set("exitCode", Napi::Number::New(env, code));
  out.Set("signal", Napi::Number::New(env, signal));
  out.Set("droppedLogBytes", Napi::BigInt::New(env, status.dropped_bytes));
  return out;
}

Napi::Value read_hello(Napi::Env env, Reader& fields, std::vector<Fd>&) {
  HelloReply reply;
  decode(fields, reply);
  Napi::Object out = Napi::Object::New(env);
  out.Set("version", Napi::Number::New(env, reply.version));
  out.Set("pid", Napi::Number::New(env, reply.pid));
  out.Set("pod", text(env, reply.pod));
  out.Set("hasSandbox", Napi::Boolean::New(env, reply.has_sandbox != 0));
  return out;
}

Napi::Value read_sandbox_reply(Napi::Env env, Reader& fields, std::vector<Fd>&) {
  SandboxReply reply;
  decode(fields, reply);
  Napi::Object out = Napi::Object::New(env);
  out.Set("reaperPid", Napi::Number::New(env, reply.reaper_pid));
  return out;
}

Napi::Value read_start_reply(Napi::Env env, Reader& fields, std::vector<Fd>&) {
  StartReply reply;
  decode(fields, reply);
  Napi::Object out = Napi::Object::New(env);
  out.Set("startedAt", Napi::BigInt::New(env, reply.started_at));
  out.Set("times", read_times(env, LaunchTimes{}, reply.exec_ns));
  return out;
}

Napi::Value read_state_reply(Napi::Env env, Reader& fields, std::vector<Fd>&) {
  StateReply reply;
  decode(fields, reply);
  Reader entries(reply.entries.data, reply.entries.size);
  Napi::Array out = Napi::Array::New(env);
  for (uint32_t i = 0; fields.ok() && i < reply.entry_count; i++) {
    EntryStatus status;
    decode(entries, status);
    if (!entries.ok()) {
      fields.fail();
      break;
    }
    out[i] = to_js(env, status);
  }
  return out;
}

Napi::Value read_descriptor(Napi::Env env, Reader& fields, std::vector<Fd>& fds) {
  if (fds.size() != 1) {
    fields.fail();
    return env.Undefined();
  }
  return Napi::Number::New(env, fds.front().release());
}

Napi::Value attach_ends(Napi::Env env, Fd& output, Fd& input) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("output", Napi::Number::New(env, output.release()));
  if (input) out.Set("input", Napi::Number::New(env, input.release()));
  return out;
}

Napi::Value read_launch_reply(Napi::Env env, Reader& fields, LaunchRequest& request) {
  std::array<Fd, 3>& pipes = request.pipes;
  LaunchReply reply;
  decode(fields, reply);
  Napi::Object out = Napi::Object::New(env);
  out.Set("pid", Napi::Number::New(env, reply.pid));
  out.Set("uid", Napi::Number::New(env, reply.uid));
  out.Set("gid", Napi::Number::New(env, reply.gid));
  out.Set("groups", read_groups(env, fields, reply));
  out.Set("warnings", read_warnings(env, reply.warnings));
  out.Set("times", read_times(env, reply.times, reply.exec_ns));
  Napi::Array ours = Napi::Array::New(env, pipes.size());
  for (uint32_t i = 0; i < pipes.size(); i++) {
    // Kept, and so closed with the request, where the reply turned out malformed.
    const bool give = fields.ok() && pipes[i];
    ours[i] = give ? Napi::Number::New(env, pipes[i].release()) : env.Undefined();
  }
  out.Set("pipes", ours);
  const auto* sources = reinterpret_cast<const uint8_t*>(request.sources.data());
  const size_t size = request.sources.size() * sizeof(MountIdentity);
  if (request.embryo) out.Set("sources", Napi::Buffer<uint8_t>::Copy(env, sources, size));
  return out;
}

Napi::Value read_run_reply(Napi::Env env, Reader& fields, RunRequest& run) {
  RunReply reply;
  decode(fields, reply);
  Napi::Object out = Napi::Object::New(env);
  // What is open is closed with the run where the reply turned out malformed.
  if (!fields.ok()) return out;
  out.Set("exitCode", Napi::Number::New(env, exit_code(reply.wait_status)));
  out.Set("times", read_times(env, reply.times, 0));
  set_seconds(env, out, "lasted", reply.lasted_ns);
  set_output(env, out, "stdout", "stdoutRest", run.output);
  set_output(env, out, "stderr", "stderrRest", run.errors);
  return out;
}

}  // namespace coracle
