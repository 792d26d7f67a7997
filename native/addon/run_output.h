// What a command writes, collected without JavaScript until it has ended.
#ifndef CORACLE_NATIVE_ADDON_RUN_OUTPUT_H_
#define CORACLE_NATIVE_ADDON_RUN_OUTPUT_H_

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <memory>
#include <vector>

#include "native/addon/failure.h"
#include "native/addon/uv_poll.h"
#include "native/sys/fd.h"

namespace coracle {

// One output stream. Loop thread only.
//
// Its writing end is held here, too: the end of a command that writes nothing, which its monitor
// tells anyway, wakes nobody.
class RunOutput {
 public:
  // Bytes beyond `limit` are read and dropped.
  explicit RunOutput(size_t limit) : limit_(limit) {}
  RunOutput(const RunOutput&) = delete;
  RunOutput& operator=(const RunOutput&) = delete;

  // Makes the pipe; `theirs` is the end for the command. EMFILE, ENFILE.
  Failure open(Fd* theirs);
  // Reads from now on whatever comes.
  void watch(uv_loop_t* loop);
  // The command has ended: reads what it has left in the pipe. `rest()` is open afterwards where
  // others hold the stream open, or have filled it meanwhile.
  void finish();

  std::vector<uint8_t>& bytes() { return bytes_; }
  Fd& rest() { return reader_; }

 private:
  enum class State { kMore, kEmpty, kEnded };
  // Reads once.
  State read_some();
  void on_readable();

  size_t limit_;
  std::vector<uint8_t> bytes_;
  Fd reader_, writer_;
  std::unique_ptr<UvPoll> poll_;  // destroyed before reader_ is closed
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_RUN_OUTPUT_H_
