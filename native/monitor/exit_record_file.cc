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

// Where a record is before it is whole.
struct UnfinishedName {
  explicit UnfinishedName(const char* id) {
    const size_t size = strlen(id);
    text[0] = '.';  // no id begins with a dot
    memcpy(text + 1, id, size);
    memcpy(text + 1 + size, ".new", 5);
  }
  char text[kMaxId + 8];
};

Fd open_unfinished(int directory, const UnfinishedName& name) {
  return Fd(openat(directory, name.text, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

}  // namespace

void reserve_exit_record(int directory, const char* id) {
  const Fd file = open_unfinished(directory, UnfinishedName(id));
  static const uint8_t zeros[sizeof(ExitRecord)] = {};
  if (file) (void)!write(file.get(), zeros, sizeof(zeros));
}

bool write_exit_record(int directory, const char* id, ExitRecord record) {
  record.checksum = checksum_of(record);
  const UnfinishedName name(id);
  const Fd file = open_unfinished(directory, name);
  return file && sys::failpoint("exit-record.write") == 0 &&
         write(file.get(), &record, sizeof(record)) == sizeof(record) &&
         sys::failpoint("exit-record.rename") == 0 &&
         renameat(directory, name.text, directory, id) == 0;
}

void remove_exit_record(int directory, const char* id) {
  // Of one that was never written there is what was reserved for it.
  if (unlinkat(directory, id, 0) != 0) unlinkat(directory, UnfinishedName(id).text, 0);
}

}  // namespace coracle
