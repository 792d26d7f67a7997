#include "native/addon/mount_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace coracle {
namespace {

constexpr unsigned kMountId = 0x1000;        // STATX_MNT_ID, Linux 5.8
constexpr unsigned kMountIdUnique = 0x4000;  // STATX_MNT_ID_UNIQUE, Linux 6.8: counts before it

MountIdentity identify(const HostPath& host) {
  struct statx found = {};
  // As open_tree(2) finds it: following links, and mounting nothing that is not there yet.
  const int flags = AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  const unsigned wanted = STATX_TYPE | STATX_INO | kMountId | kMountIdUnique;
  if (statx(AT_FDCWD, host.path.c_str(), flags, wanted, &found) != 0) return {};
  return {makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino, found.stx_mnt_id};
}

bool is_mount(const HostPath& host) { return host.kind != HostPath::Kind::kTasksFile; }

}  // namespace

std::vector<MountIdentity> identify_sources(const EncodedPlan& plan) {
  std::vector<MountIdentity> identities;
  for (const HostPath& host : plan.host_paths) {
    if (is_mount(host)) identities.push_back(identify(host));
  }
  return identities;
}

Failure check_sources(const EncodedPlan& plan, const std::vector<MountIdentity>& launched) {
  size_t place = 0;
  for (const HostPath& host : plan.host_paths) {
    if (!is_mount(host)) continue;
    if (place == launched.size() || identify(host) != launched[place]) {
      return Failure{ESTALE, "start", host.path};
    }
    place++;
  }
  return {};
}

}  // namespace coracle
