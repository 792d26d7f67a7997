#include "native/addon/js_environment.h"

#include <signal.h>

#include <utility>

namespace coracle {

Environment& Environment::create(Napi::Env env) {
  Environment* state = new Environment;
  napi_get_uv_event_loop(env, &state->loop);
  state->receive_buffer.resize(kReceiveBuffer);
  env.SetInstanceData<Environment>(state);
  napi_add_env_cleanup_hook(env, clean_up, state);
  return *state;
}

// The environment goes: handles have to be closed while its loop still runs, and JavaScript must
// not be called any more. Monitors go on; they are made for that.
void Environment::clean_up(void* environment) {
  Environment* state = static_cast<Environment*>(environment);
  for (const std::shared_ptr<MonitorClient>& client : state->clients) client->abandon();
  state->clients.clear();
  state->helpers.clear();
  state->connects.clear();
  state->long_works.stop();
  state->children_.clear();
}

void Environment::watch_child(Child child) {
  const int pidfd = child.pidfd.get();
  WatchedChild& watched = children_[pidfd];
  watched.child = std::move(child);
  watched.poll = std::make_unique<UvPoll>(loop, pidfd, [this, pidfd](int) {
    if (reap_child(pidfd) < 0) return;
    auto found = children_.extract(pidfd);
    found.mapped().poll.reset();
  });
  if (watched.poll->valid()) watched.poll->start(UV_READABLE);
}

void enter_javascript(Napi::Env env, const std::function<void()>& call) {
  try {
    const Napi::HandleScope scope(env);
    const Napi::AsyncContext context(env, "coracle");
    const Napi::CallbackScope callbacks(env, context);
    try {
      call();
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());
    }
  } catch (const Napi::Error&) {
    // Scopes cannot be opened or closed: the environment is ending.
  }
}

Settler::Settler(Napi::Env env) : env_(env) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &deferred_, &promise) != napi_ok) throw Napi::Error::New(env);
  promise_ = Napi::Promise(env, promise);
}

// The statuses are dropped on purpose: settling fails only where the environment is ending.

void Settler::resolve(napi_value value) const { napi_resolve_deferred(env_, deferred_, value); }

void Settler::reject(napi_value error) const { napi_reject_deferred(env_, deferred_, error); }

void Settler::reject(const Failure& failure) const { reject(native_error(env_, failure).Value()); }

Napi::Value promised(Napi::Env env, const std::function<void(const Settler&)>& call) {
  const Settler settler(env);
  try {
    call(settler);
  } catch (const Napi::Error& error) {
    settler.reject(error.Value());
  }
  return settler.promise();
}

namespace {

struct Work {
  Napi::Env env;
  napi_async_work handle = nullptr;
  std::function<void()> work, done;
};

}  // namespace

void run_work(Napi::Env env, std::function<void()> work, std::function<void()> done) {
  auto owned = std::make_unique<Work>(Work{env, nullptr, std::move(work), std::move(done)});
  const Napi::String name = Napi::String::New(env, "coracle");
  const napi_status status = napi_create_async_work(
      env, nullptr, name, [](napi_env, void* data) { static_cast<Work*>(data)->work(); },
      [](napi_env raw, napi_status outcome, void* data) {
        const std::unique_ptr<Work> finished(static_cast<Work*>(data));
        // Node calls this inside a handle scope and a callback scope of its own.
        if (outcome == napi_ok) {
          try {
            finished->done();
          } catch (const Napi::Error& error) {
            napi_fatal_exception(raw, error.Value());
          }
        }
        napi_delete_async_work(raw, finished->handle);
      },
      owned.get(), &owned->handle);
  if (status != napi_ok || napi_queue_async_work(env, owned->handle) != napi_ok) {
    throw Napi::Error::New(env);
  }
  (void)owned.release();
}

}  // namespace coracle
