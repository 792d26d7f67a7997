#include <errno.h>

#include "native/monitor/exit_record_file.h"
#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {

// Answered once the process is reaped and nothing of the entry is left, so that its cgroup and
// root file system can be removed right after.
void handle_delete(Monitor& monitor, const PendingReply& from, Message& message) {
  EntryRequest request;
  if (!decode(message.body, request) || !is_valid_id(request.id)) {
    return reply_error(monitor, from, EINVAL, "delete");
  }
  Entry* entry = monitor.entries.find(request.id);
  if (entry == nullptr) {
    // Perhaps of an earlier monitor of this pod.
    if (monitor.pod.exit_dir) remove_exit_record(monitor.pod.exit_dir.get(), request.id.data);
    return reply_done(monitor, from);
  }
  if (entry->deleting) return reply_error(monitor, from, EALREADY, "delete", entry->id);
  entry->deleting = true;
  entry->delete_reply = from;
  if (entry->alive()) return kill_entry(monitor, *entry);
  release_entry(monitor, *entry);
}

}  // namespace coracle
