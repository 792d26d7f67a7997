// Reading passwd(5) and group(5) files of a container, which are not to be trusted.
#ifndef CORACLE_NATIVE_LAUNCH_PASSWD_H_
#define CORACLE_NATIVE_LAUNCH_PASSWD_H_

#include <stddef.h>
#include <stdint.h>

#include "native/launch/launch.h"

namespace coracle {

struct PasswdEntry {
  uint32_t uid = 0, gid = 0;
  char name[256] = {};
  char home[512] = {};  // empty where the file has none, or a longer one
};

// Ids without duplicates, in the order of their addition.
struct GroupList {
  uint32_t ids[kMaxGroups] = {};
  uint16_t count = 0;

  // False when the list is full.
  bool add(uint32_t gid);
};

// A number from 0 to 4294967294 and nothing else; 4294967295 is "no change" to chown(2).
bool parse_id(const char* text, uint32_t* id);

// These read `fd` from its current offset to the end at most. Lines that make no sense are
// passed over, and a line may have any length; a name longer than 255 bytes never matches.

// The first entry named `name` or, with a null name, of this uid. False: with errno 0 there is
// none, else it is that of read(2), and nobody knows.
bool find_user(int fd, const char* name, uint32_t uid, PasswdEntry* entry);
bool find_group(int fd, const char* name, uint32_t* gid);
// Adds every group whose list of members has `user`. False with E2BIG when `groups` is full, or
// with the errno of read(2).
bool add_member_groups(int fd, const char* user, GroupList* groups);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_PASSWD_H_
