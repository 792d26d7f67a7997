#include "native/addon/layer_union.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <algorithm>
#include <thread>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// <sys/mount.h> of glibc 2.36 has these calls, older ones do not: the numbers are the ABI.
constexpr unsigned kFsopenCloexec = 1;
constexpr unsigned kFsmountCloexec = 1;
constexpr unsigned kSetFlag = 0;
constexpr unsigned kSetString = 1;
constexpr unsigned kCmdCreate = 6;
constexpr size_t kMaxValue = 255;  // of a string that fsconfig(2) takes

// A layer must be readable on its own by any later overlay mount: no features that tie it to
// this one. Syncing is ours to do once, at the end ("volatile", Linux 5.10).
constexpr const char* kOff[] = {"index", "metacopy", "redirect_dir"};

// What messages are about.
const std::string& subject(const UnionSpec& spec) {
  return spec.upper.empty() ? spec.lower.front() : spec.upper;
}

int configure(int context, unsigned command, const char* key, const char* value) {
  return static_cast<int>(syscall(SYS_fsconfig, context, command, key, value, 0));
}

// `path`, or a short name for it through a descriptor that lands in `*keep`.
std::string short_path(const std::string& path, std::vector<Fd>* keep) {
  if (path.size() <= kMaxValue) return path;
  Fd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) fail_errno("open layer", path);
  std::string name = "/proc/self/fd/" + std::to_string(fd.get());
  keep->push_back(std::move(fd));
  return name;
}

// Empty, with errno EINVAL, where the kernel is too old for "lowerdir+": it says so at once (6.5),
// or takes any key and refuses at the end (before 6.5), or takes no comma in a value.
Fd mount_with_api(const UnionSpec& spec) {
  Fd context(static_cast<int>(syscall(SYS_fsopen, "overlay", kFsopenCloexec)));
  if (!context) fail_errno("open overlay", subject(spec));
  std::vector<Fd> keep;
  // False for EINVAL; fails for anything else.
  auto set = [&](const char* key, const std::string& path) {
    if (configure(context.get(), kSetString, key, short_path(path, &keep).c_str()) == 0) {
      return true;
    }
    if (errno != EINVAL) fail_errno(std::string("set overlay ") + key, path);
    return false;
  };
  for (const std::string& lower : spec.lower) {
    if (!set("lowerdir+", lower)) return {};
  }
  if (!spec.upper.empty()) {
    if (!set("upperdir", spec.upper) || !set("workdir", spec.work)) return {};
    configure(context.get(), kSetFlag, "volatile", nullptr);
  }
  for (const char* option : kOff) configure(context.get(), kSetString, option, "off");
  if (configure(context.get(), kCmdCreate, nullptr, nullptr) != 0) {
    if (errno == EINVAL) return {};
    fail_errno("mount overlay", subject(spec));
  }
  Fd mount(static_cast<int>(syscall(SYS_fsmount, context.get(), kFsmountCloexec, 0)));
  if (!mount) fail_errno("mount overlay", subject(spec));
  return mount;
}

std::string escape(const std::string& path) {
  std::string text;
  for (char c : path) {
    if (c == '\\' || c == ',' || c == ':') text += '\\';
    text += c;
  }
  return text;
}

// The longest directory that all of them are below, with its slash.
std::string common_directory(const std::vector<std::string>& paths) {
  std::string prefix = paths.front();
  for (const std::string& path : paths) {
    size_t same = std::mismatch(prefix.begin(), prefix.end(), path.begin(), path.end()).first -
                  prefix.begin();
    prefix.resize(same);
  }
  return prefix.substr(0, prefix.rfind('/') + 1);
}

// mount(2) takes one page of options: names relative to a common directory fit many layers in.
std::string overlay_options(const UnionSpec& spec, size_t skip) {
  std::string lower;
  for (const std::string& path : spec.lower) {
    if (!lower.empty()) lower += ':';
    lower += escape(path.substr(skip));
  }
  const std::string off = ",index=off,metacopy=off,redirect_dir=off";
  if (spec.upper.empty()) return "lowerdir=" + lower + off;
  return "lowerdir=" + lower + ",upperdir=" + escape(spec.upper.substr(skip)) +
         ",workdir=" + escape(spec.work.substr(skip)) + off + ",volatile";
}

Fd mount_in_namespace(const UnionSpec& spec) {
  if (unshare(CLONE_NEWNS) != 0) fail_errno("unshare mount namespace", subject(spec));
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    fail_errno("make mounts private", "/");
  }
  std::vector<std::string> all = spec.lower;
  if (!spec.upper.empty()) all.insert(all.end(), {spec.upper, spec.work});
  std::string base = common_directory(all);
  if (chdir(base.c_str()) != 0) fail_errno("enter layers", base);
  // Mounted over one of its own directories: what it covers stays reachable for overlay.
  const std::string& place = subject(spec);
  if (mount("overlay", place.c_str(), "overlay", 0, overlay_options(spec, base.size()).c_str()) !=
      0) {
    fail_errno("mount overlay", place);
  }
  Fd root(open(place.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  int code = errno;
  umount2(place.c_str(), MNT_DETACH);
  if (!root) {
    errno = code;
    fail_errno("open overlay", place);
  }
  return root;
}

// unshare(CLONE_NEWNS) implies CLONE_FS, so only this thread has another root and directory; it
// ends here.
Fd mount_in_thread(const UnionSpec& spec) {
  Fd root;
  LayerError error;
  std::thread([&] {
    try {
      root = mount_in_namespace(spec);
    } catch (const Failure& failure) {
      error = failure.error;
    } catch (const std::exception& failure) {
      error = {ENOMEM, failure.what(), subject(spec)};
    }
  }).join();
  if (error) throw Failure{error};
  return root;
}

}  // namespace

Fd open_union(const UnionSpec& spec, UnionMethod method) {
  if (spec.upper.empty() && spec.lower.size() == 1) {
    Fd only(open(spec.lower.front().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!only) fail_errno("open layer", spec.lower.front());
    return only;
  }
  if (method != UnionMethod::kThread) {
    Fd root = mount_with_api(spec);
    if (root) return root;
    if (method == UnionMethod::kMountApi) fail_errno("mount overlay", subject(spec));
  }
  return mount_in_thread(spec);
}

}  // namespace coracle::layer
