// Writes and removes exit records (native/plan/exit_record.h).
#ifndef CORACLE_NATIVE_MONITOR_EXIT_RECORD_FILE_H_
#define CORACLE_NATIVE_MONITOR_EXIT_RECORD_FILE_H_

#include "native/plan/exit_record.h"

namespace coracle {

// Takes the space that the record of `id` will need, in `<directory>/.<id>.new`: a file system that
// is full by then has room for it. One that is full already leaves it to write_exit_record.
void reserve_exit_record(int directory, const char* id);

// Fills in the checksum and replaces `<directory>/<id>` by rename(2): a reader sees the whole
// record or none. `id` has passed is_valid_id. False where the file system refuses; it may be tried
// again.
bool write_exit_record(int directory, const char* id, ExitRecord record);

// With what was reserved. A missing record is no error.
void remove_exit_record(int directory, const char* id);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_EXIT_RECORD_FILE_H_
