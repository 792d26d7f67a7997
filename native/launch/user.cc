// User: the identity of the program.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "native/launch/child.h"
#include "native/launch/descriptors.h"
#include "native/launch/passwd.h"
#include "native/launch/resolve.h"
#include "native/sys/failpoint.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr char kPasswd[] = "/etc/passwd";
constexpr char kGroup[] = "/etc/group";

// A file that is missing, not a regular one (a FIFO would block the launch) or of procfs (it has no
// size) counts as empty, as images without any users are common, and leaves no descriptor. One that
// cannot be read does not: without its entry a user would run in the group of root, and in none of
// its own.
Error open_database(const Child& child, const char* path, Fd* file) {
  if (sys::failpoint("user.database") != 0) return failed("open", path);
  Fd found(open_in_root(child.root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!found) {
    // Also a magic link (ELOOP), a socket or a device without its driver (ENXIO, ENODEV).
    const bool empty =
        errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO || errno == ENODEV;
    return empty ? Error{} : failed("open", path);
  }
  struct stat entry;
  if (fstat(found.get(), &entry) != 0) return failed("open", path);
  if (S_ISREG(entry.st_mode) && entry.st_size > 0) *file = static_cast<Fd&&>(found);
  return {};
}

// The primary group and the user's name, for the lookups that follow. A number without an entry
// is a user all the same, of group 0.
Error look_up_user(const User& step, const Child& child, PasswdEntry* entry, bool* found) {
  uint32_t uid = 0;
  bool numeric = step.user.empty() || parse_id(step.user.data, &uid);
  Fd passwd;
  if (Error error = open_database(child, kPasswd, &passwd); !error.ok()) return error;
  *found = passwd && find_user(passwd.get(), numeric ? nullptr : step.user.data, uid, entry);
  if (*found) return {};
  if (passwd && errno != 0) return failed("read", kPasswd);
  if (!numeric) return Error{ENOENT, "find user", step.user.data};
  *entry = PasswdEntry{};
  entry->uid = uid;
  return {};
}

Error look_up_group(const User& step, const Child& child, uint32_t* gid) {
  if (step.group.empty() || parse_id(step.group.data, gid)) return {};
  Fd group;
  if (Error error = open_database(child, kGroup, &group); !error.ok()) return error;
  if (group && find_group(group.get(), step.group.data, gid)) return {};
  if (group && errno != 0) return failed("read", kGroup);
  return Error{ENOENT, "find group", step.group.data};
}

// The primary group comes first: without it in the list, a program could leave the group with
// setgid(2) and so escape a permission that is denied to it (CVE-2022-36109).
Error collect_groups(const User& step, const Child& child, const PasswdEntry* user, uint32_t gid,
                     GroupList* groups) {
  bool fits = groups->add(gid);
  if (user != nullptr && step.merge_groups != 0) {
    Fd group;
    if (Error error = open_database(child, kGroup, &group); !error.ok()) return error;
    if (group && !add_member_groups(group.get(), user->name, groups)) {
      if (errno != E2BIG) return failed("read", kGroup);
      fits = false;
    }
  }
  for (uint16_t i = 0; i < step.extra_count; ++i) {
    uint32_t extra;
    memcpy(&extra, step.extra.data + i * sizeof(extra), sizeof(extra));
    fits &= groups->add(extra);
  }
  return fits ? Error{} : Error{E2BIG, "set groups of user", step.user.data};
}

// EINVAL is the kernel's word for an id that the user namespace does not have.
Error refused(const char* what, const User& step) {
  return failed(errno == EINVAL ? "map ids of user" : what, step.user.data);
}

void set_home(Child& child, const char* home) {
  if (child.program->home_slot == nullptr) return;
  if (home[0] == 0) home = "/";
  memcpy(child.home, "HOME=", 5);
  memcpy(child.home + 5, home, strlen(home) + 1);
  *child.program->home_slot = child.home;
}

}  // namespace

Error run(const User& step, Child& child) {
  PasswdEntry entry;
  bool found = false;
  if (Error error = look_up_user(step, child, &entry, &found); !error.ok()) return error;
  uint32_t gid = entry.gid;
  if (Error error = look_up_group(step, child, &gid); !error.ok()) return error;
  GroupList groups;
  Error error = collect_groups(step, child, found ? &entry : nullptr, gid, &groups);
  if (!error.ok()) return error;
  set_home(child, entry.home);
  own_stdio(child, entry.uid);

  // Groups before the user, while CAP_SETGID is still effective. The capabilities stay until the
  // Capabilities step cuts them to what the program gets.
  if (sys::setgroups(groups.count, groups.ids) != 0) return refused("set groups", step);
  if (sys::setresgid(gid) != 0) return refused("set group", step);
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed("keep capabilities");
  if (sys::setresuid(entry.uid) != 0) return refused("set user", step);
  // What is left to do takes them: a working directory may be closed to the user, a filter without
  // no_new_privs takes CAP_SYS_ADMIN, the bounding set CAP_SETPCAP.
  if (Error kept = restore_capabilities(); !kept.ok()) return kept;
  if (Error guarded = guard(); !guarded.ok()) return guarded;

  child.report.uid = entry.uid;
  child.report.gid = gid;
  child.report.group_count = groups.count;
  memcpy(child.report.groups, groups.ids, sizeof(groups.ids));
  return {};
}

}  // namespace coracle
