#include "native/addon/long_work.h"

#include <utility>

namespace coracle {

int LongWorks::start(uv_loop_t* loop, Callbacks callbacks) {
  auto owned = std::make_unique<Running>();
  Running* running = owned.get();
  running->callbacks = std::move(callbacks);
  running->owner = this;
  running->finished = new uv_async_t;
  if (const int result = uv_async_init(loop, running->finished, on_finished); result != 0) {
    delete running->finished;
    return -result;
  }
  running->finished->data = running;
  if (const int result = uv_thread_create(&running->thread, run, running); result != 0) {
    close(running->finished);
    return -result;
  }
  running_.push_back(std::move(owned));
  return 0;
}

void LongWorks::run(void* data) {
  Running* running = static_cast<Running*>(data);
  running->callbacks.work();
  uv_async_send(running->finished);
}

void LongWorks::on_finished(uv_async_t* finished) {
  Running* running = static_cast<Running*>(finished->data);
  uv_thread_join(&running->thread);
  close(finished);
  const std::function<void()> done = std::move(running->callbacks.done);
  running->owner->running_.remove_if([=](const auto& one) { return one.get() == running; });
  done();
}

void LongWorks::close(uv_async_t* finished) {
  uv_close(reinterpret_cast<uv_handle_t*>(finished),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_async_t*>(handle); });
}

void LongWorks::stop() {
  for (const auto& running : running_) running->callbacks.cancel();
  for (const auto& running : running_) {
    uv_thread_join(&running->thread);
    close(running->finished);
  }
  running_.clear();
}

}  // namespace coracle
