#include "native/addon/uv_poll.h"

#include <utility>

namespace coracle {
namespace {

uv_handle_t* base(uv_poll_t* poll) { return reinterpret_cast<uv_handle_t*>(poll); }

}  // namespace

UvPoll::UvPoll(uv_loop_t* loop, int fd, Callback callback) {
  Handle* handle = new Handle{{}, std::move(callback), 0};
  if (uv_poll_init(loop, &handle->poll, fd) != 0) {
    delete handle;
    return;
  }
  handle->poll.data = handle;
  uv_unref(base(&handle->poll));
  handle_ = handle;
}

UvPoll::~UvPoll() {
  if (handle_ == nullptr) return;
  uv_close(base(&handle_->poll),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

void UvPoll::start(int events) {
  if (events == handle_->events) return;
  handle_->events = uv_poll_start(&handle_->poll, events, on_event) == 0 ? events : 0;
}

void UvPoll::ref() { uv_ref(base(&handle_->poll)); }
void UvPoll::unref() { uv_unref(base(&handle_->poll)); }

void UvPoll::on_event(uv_poll_t* poll, int status, int events) {
  Handle* handle = static_cast<Handle*>(poll->data);
  if (status < 0) handle->events = 0;  // libuv has stopped it
  // The callback may destroy the UvPoll, but not the Handle: libuv closes that after this turn.
  handle->callback(status < 0 ? UV_READABLE | UV_WRITABLE | UV_DISCONNECT : events);
}

}  // namespace coracle
