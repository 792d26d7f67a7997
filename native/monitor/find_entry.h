// Requests that name an entry: decoding and looking it up, with the answers for failures.
#ifndef CORACLE_NATIVE_MONITOR_FIND_ENTRY_H_
#define CORACLE_NATIVE_MONITOR_FIND_ENTRY_H_

#include <errno.h>

#include "native/monitor/reply.h"

namespace coracle {

// Decodes `request`, which has a field `id`, and finds its entry. Null after EINVAL or ENOENT was
// answered.
template <typename Request>
Entry* find_entry(Monitor& monitor, const PendingReply& from, const Message& message,
                  const char* what, Request* request) {
  if (!decode(message.body, *request) || !is_valid_id(request->id)) {
    reply_error(monitor, from, EINVAL, what);
    return nullptr;
  }
  Entry* entry = monitor.entries.find(request->id);
  if (entry == nullptr) reply_error(monitor, from, ENOENT, what, request->id.data);
  return entry;
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_FIND_ENTRY_H_
