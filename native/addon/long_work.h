// Work that takes seconds, on a thread of its own: libuv's pool of four also opens the files of
// every launch, and must not fill up with image layers.
#ifndef CORACLE_NATIVE_ADDON_LONG_WORK_H_
#define CORACLE_NATIVE_ADDON_LONG_WORK_H_

#include <uv.h>

#include <functional>
#include <list>
#include <memory>

namespace coracle {

// The running works of one loop; used on its thread.
class LongWorks {
 public:
  struct Callbacks {
    std::function<void()> work;    // on the new thread
    std::function<void()> done;    // on the loop's thread afterwards
    std::function<void()> cancel;  // asks `work` to return early; may be called during it
  };

  // Keeps the loop alive until `done` has run. Returns an errno: EAGAIN where no thread is to
  // be had, and then calls nothing.
  int start(uv_loop_t* loop, Callbacks callbacks);
  // Cancels everything and waits for it; no `done` is called any more.
  void stop();

 private:
  struct Running {
    Callbacks callbacks;
    uv_thread_t thread;
    uv_async_t* finished;
    LongWorks* owner;
  };
  static void run(void* running);
  static void on_finished(uv_async_t* finished);
  static void close(uv_async_t* finished);

  std::list<std::unique_ptr<Running>> running_;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_LONG_WORK_H_
