// Threads beside a loop, as the addon has them for image layers. Under ThreadSanitizer, too: what
// the threads and the loop share is handed over by nothing but LongWorks.
#include "native/addon/long_work.h"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

using coracle::LongWorks;

namespace {

struct Loop {
  Loop() { REQUIRE(uv_loop_init(&loop) == 0); }
  // Handles that are being closed need one more turn.
  ~Loop() {
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
  }
  uv_loop_t loop;
  LongWorks works;
};

}  // namespace

TEST_CASE("works run beside each other, and what each has made is there when it is done") {
  Loop loop;
  constexpr size_t kWorks = 8;
  std::vector<std::string> made(kWorks);
  std::vector<size_t> order;
  for (size_t number = 0; number < kWorks; ++number) {
    LongWorks::Callbacks callbacks;
    callbacks.work = [&made, number] { made[number].assign(10'000 * (number + 1), 'x'); };
    callbacks.done = [&, number] {
      CHECK(made[number].size() == 10'000 * (number + 1));
      order.push_back(number);
    };
    callbacks.cancel = [] { FAIL("nobody has given up"); };
    REQUIRE(loop.works.start(&loop.loop, std::move(callbacks)) == 0);
  }
  uv_run(&loop.loop, UV_RUN_DEFAULT);
  CHECK(order.size() == kWorks);
}

TEST_CASE("a work may start the next one when it is done") {
  Loop loop;
  int left = 5;
  std::function<void()> next = [&] {
    if (left-- == 0) return;
    REQUIRE(loop.works.start(&loop.loop, {[] {}, next, [] {}}) == 0);
  };
  next();
  uv_run(&loop.loop, UV_RUN_DEFAULT);
  CHECK(left == -1);
}

TEST_CASE("works that are stopped return early, are waited for, and are not announced") {
  Loop loop;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> running{0};
    std::vector<std::unique_ptr<std::atomic<bool>>> cancelled;
    int announced = 0;
    for (int number = 0; number < 4; ++number) {
      std::atomic<bool>* flag =
          cancelled.emplace_back(std::make_unique<std::atomic<bool>>(false)).get();
      LongWorks::Callbacks callbacks;
      callbacks.work = [&running, flag] {
        ++running;
        while (!flag->load(std::memory_order_relaxed)) uv_sleep(1);
        --running;
      };
      callbacks.done = [&announced] { ++announced; };
      callbacks.cancel = [flag] { flag->store(true, std::memory_order_relaxed); };
      REQUIRE(loop.works.start(&loop.loop, std::move(callbacks)) == 0);
    }
    loop.works.stop();
    CHECK(running == 0);
    uv_run(&loop.loop, UV_RUN_DEFAULT);
    CHECK(announced == 0);
  }
}
