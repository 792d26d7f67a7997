// An owned uv_poll_t: watches a descriptor on the loop of its environment.
#ifndef CORACLE_NATIVE_ADDON_UV_POLL_H_
#define CORACLE_NATIVE_ADDON_UV_POLL_H_

#include <uv.h>

#include <functional>

namespace coracle {

// Loop thread only. Destroying it stops the watch at once; the callback is not called afterwards.
// The descriptor stays the owner's and must be closed after this object is destroyed or stopped.
class UvPoll {
 public:
  // Called with UV_READABLE, UV_WRITABLE and UV_DISCONNECT bits; errors count as all of them, so
  // that the owner meets them in its next system call.
  using Callback = std::function<void(int events)>;

  // `valid()` is false where the descriptor cannot be polled. Does not keep the loop alive until
  // ref() is called.
  UvPoll(uv_loop_t* loop, int fd, Callback callback);
  ~UvPoll();
  UvPoll(const UvPoll&) = delete;
  UvPoll& operator=(const UvPoll&) = delete;

  bool valid() const { return handle_ != nullptr; }
  // Nothing is done where it watches for these already: libuv takes two system calls for that.
  void start(int events);
  void ref();
  void unref();

 private:
  // The handle outlives this object until libuv has closed it.
  struct Handle {
    uv_poll_t poll;
    Callback callback;
    int events = 0;  // that libuv watches for
  };
  static void on_event(uv_poll_t* poll, int status, int events);

  Handle* handle_ = nullptr;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_UV_POLL_H_
