// Writes and removes exit records (native/plan/exit_record.h).
#ifndef CORACLE_NATIVE_MONITOR_EXIT_RECORD_FILE_H_
#define CORACLE_NATIVE_MONITOR_EXIT_RECORD_FILE_H_

#include "native/plan/exit_record.h"

namespace coracle {

// Fills in the checksum and replaces `<directory>/<id>` by rename(2): a reader sees the whole
// record or none. `id` has passed is_valid_id. False where the file system refuses; nothing is
// left behind then.
bool write_exit_record(int directory, const char* id, ExitRecord record);

// A missing record is no error.
void remove_exit_record(int directory, const char* id);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_EXIT_RECORD_FILE_H_
