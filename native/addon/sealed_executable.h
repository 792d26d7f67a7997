// An executable's copy in sealed memory, so that nobody can reach a writable path to what runs.
#ifndef CORACLE_NATIVE_ADDON_SEALED_EXECUTABLE_H_
#define CORACLE_NATIVE_ADDON_SEALED_EXECUTABLE_H_

#include <stdint.h>
#include <sys/stat.h>

#include <span>
#include <string>

#include "native/addon/failure.h"
#include "native/sys/fd.h"

namespace coracle {

// Keeps the copy of the last executable asked for, for as long as the file stays the same, and
// nobody has taken the right to execute it from the copy: before F_SEAL_EXEC (Linux 6.3) a
// container that gets hold of it can, which would leave the host without new pods. Used on one
// thread.
class SealedExecutable {
 public:
  // `fd` stays owned by this object and valid until the next call.
  Failure get(const std::string& path, int* fd);

 private:
  std::string path_;
  struct stat status_ = {};
  Fd copy_;
};

// Whether everybody may execute the file.
bool is_executable(int fd);

// A memfd holding `bytes`, sealed against every change. `executable`: MFD_EXEC where the kernel
// has it (6.3), as sysctl vm.memfd_noexec wants.
Failure sealed_memfd(const char* name, std::span<const uint8_t> bytes, bool executable, Fd* memfd);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_SEALED_EXECUTABLE_H_
