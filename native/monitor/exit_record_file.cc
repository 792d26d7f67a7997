#include "native/monitor/exit_record_file.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/monitor/entry_id.h"
#include "native/sys/failpoint.h"
#include "native/sys/fd.h"

namespace coracle {
namespace {

uint32_t checksum_of(const ExitRecord& record) {
  uint8_t bytes[offsetof(ExitRecord, checksum)];
  memcpy(bytes, &record, sizeof(bytes));
  uint32_t sum = 0;
  for (uint32_t place = 0; place < sizeof(bytes); ++place) sum += bytes[place] * (place + 1);
  return sum;
}

}  // namespace

bool write_exit_record(int directory, const char* id, ExitRecord record) {
  record.checksum = checksum_of(record);
  char temporary[kMaxId + 8];
  const size_t size = strlen(id);
  temporary[0] = '.';  // no id begins with a dot
  memcpy(temporary + 1, id, size);
  memcpy(temporary + 1 + size, ".new", 5);
  Fd file(
      openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return false;
  const bool written = sys::failpoint("exit-record.write") == 0 &&
                       write(file.get(), &record, sizeof(record)) == sizeof(record) &&
                       sys::failpoint("exit-record.rename") == 0 &&
                       renameat(directory, temporary, directory, id) == 0;
  if (!written) unlinkat(directory, temporary, 0);
  return written;
}

void remove_exit_record(int directory, const char* id) { unlinkat(directory, id, 0); }

}  // namespace coracle
