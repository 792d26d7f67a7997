// Writes down what a process does to the files below a directory, in order and with the bytes, so
// that test/fault/disk-model.ts can tell what a loss of power would have left at each moment. To be
// preloaded (ld.so(8)); test/fault/recording.ts builds it and reads what it writes:
//
//     u8 kind, u64 inode, u64 offset or size, u32 length a, u32 length b, a, b     little-endian
//
//     C a: file made   D a: directory made   W b: bytes written   w b: the same, and synced
//     T: truncated     F: file synced        d a: directory synced   S: file system synced
//     R a b: renamed   L a b: linked         U a: unlinked or removed   M b: mark of the test
//
// CORACLE_RECORD_ROOT is the directory, CORACLE_RECORD_LOG the file, CORACLE_RECORD_BOOT_ID what
// /proc/sys/kernel/random/boot_id is to say: records hold it, and the replay is another boot.
//
// One operation at a time: what the log has before a sync had returned before it began.
#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <mutex>
#include <string>

namespace {

// Marks are writes to a file of this name beside the log; it is not below the root.
constexpr char kMarks[] = ".marks";

std::recursive_mutex order;
const char* const root = getenv("CORACLE_RECORD_ROOT");
const char* const log_path = getenv("CORACLE_RECORD_LOG");
const char* const boot_id = getenv("CORACLE_RECORD_BOOT_ID");

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
#define NEXT(name) static auto* const real = next<decltype(name)>(#name)

int log_fd() {
  static const int fd = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  return fd;
}

void put(char kind, uint64_t inode, uint64_t offset, const std::string& a, const void* b,
         uint32_t b_length) {
  struct __attribute__((packed)) {
    char kind;
    uint64_t inode, offset;
    uint32_t a, b;
  } head{kind, inode, offset, static_cast<uint32_t>(a.size()), b_length};
  std::string entry(reinterpret_cast<char*>(&head), sizeof head);
  entry += a;
  entry.append(static_cast<const char*>(b), b_length);
  if (syscall(SYS_write, log_fd(), entry.data(), entry.size()) != static_cast<long>(entry.size())) {
    abort();
  }
}

// Relative to the root, or nothing if it is not below; the root itself is "/".
std::string below(const std::string& path) {
  if (root == nullptr || log_path == nullptr) return "";
  const size_t length = strlen(root);
  if (path == root) return "/";
  if (path.compare(0, length, root) != 0 || path[length] != '/') return "";
  return path.substr(length);
}

std::string path_of(int fd) {
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "";
}

std::string path_at(int dir, const char* path) {
  if (path[0] == '/') return path;
  if (dir != AT_FDCWD) return path_of(dir) + "/" + path;
  char cwd[4096];
  return std::string(getcwd(cwd, sizeof cwd) ? cwd : "") + "/" + path;
}

uint64_t inode_of(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

using Guard = std::lock_guard<std::recursive_mutex>;

void wrote(int fd, uint64_t offset, const struct iovec* parts, int count, ssize_t done) {
  if (done <= 0) return;
  std::string bytes;
  for (int i = 0; i < count && bytes.size() < static_cast<size_t>(done); ++i) {
    bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  }
  const std::string path = path_of(fd);
  const uint32_t length = static_cast<uint32_t>(done);
  if (log_path != nullptr && path == std::string(log_path) + kMarks) {
    put('M', 0, 0, "", bytes.data(), length);
  } else if (!below(path).empty()) {
    const bool synced = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    put(synced ? 'w' : 'W', inode_of(fd), offset, "", bytes.data(), length);
  }
}

// Where write(2) will put its bytes.
uint64_t position(int fd) {
  struct stat status;
  if ((fcntl(fd, F_GETFL) & O_APPEND) != 0 && fstat(fd, &status) == 0) return status.st_size;
  return static_cast<uint64_t>(lseek(fd, 0, SEEK_CUR));
}

template <typename Open>
int record_open(int dir, const char* path, int flags, Open open_it) {
  const std::string name = below(path_at(dir, path));
  if (name.empty()) return open_it();
  Guard guard(order);
  const bool there = faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  const int fd = open_it();
  if (fd >= 0 && (flags & O_CREAT) != 0 && !there) put('C', inode_of(fd), 0, name, "", 0);
  if (fd >= 0 && (flags & O_TRUNC) != 0 && there) put('T', inode_of(fd), 0, "", "", 0);
  return fd;
}

template <typename Change>
int record_names(char kind, const std::string& from, const std::string& to, Change change) {
  const std::string a = below(from);
  const std::string b = below(to);
  if (a.empty() && b.empty()) return change();
  Guard guard(order);
  const int result = change();
  if (result == 0) put(kind, 0, 0, a, b.data(), static_cast<uint32_t>(b.size()));
  return result;
}

// What another mount of the same file system has written (overlayfs, below a layer's target) is
// not seen call by call, but it is on the disk from here on.
int snapshot(const char* path, const struct stat* status, int, struct FTW*) {
  const std::string name = below(path);
  if (S_ISDIR(status->st_mode)) put('D', status->st_ino, 0, name, "", 0);
  if (!S_ISREG(status->st_mode)) return 0;
  put('C', status->st_ino, 0, name, "", 0);
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  std::string bytes(static_cast<size_t>(status->st_size), '\0');
  if (fd < 0 || read(fd, bytes.data(), bytes.size()) != status->st_size) abort();
  close(fd);
  put('W', status->st_ino, 0, "", bytes.data(), static_cast<uint32_t>(bytes.size()));
  return 0;
}

bool reads_boot_id(int fd) {
  return boot_id != nullptr && path_of(fd) == "/proc/sys/kernel/random/boot_id";
}

}  // namespace

#define OPEN_MODE                           \
  va_list list;                             \
  va_start(list, flags);                    \
  const mode_t mode = va_arg(list, mode_t); \
  va_end(list)

extern "C" {

int open(const char* path, int flags, ...) {
  NEXT(open);
  OPEN_MODE;
  return record_open(AT_FDCWD, path, flags, [&] { return real(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
  NEXT(open64);
  OPEN_MODE;
  return record_open(AT_FDCWD, path, flags, [&] { return real(path, flags, mode); });
}

int openat(int dir, const char* path, int flags, ...) {
  NEXT(openat);
  OPEN_MODE;
  return record_open(dir, path, flags, [&] { return real(dir, path, flags, mode); });
}

int openat64(int dir, const char* path, int flags, ...) {
  NEXT(openat64);
  OPEN_MODE;
  return record_open(dir, path, flags, [&] { return real(dir, path, flags, mode); });
}

ssize_t read(int fd, void* buffer, size_t size) {
  NEXT(read);
  const ssize_t done = real(fd, buffer, size);
  if (done >= 36 && reads_boot_id(fd)) memcpy(buffer, boot_id, 36);
  return done;
}

ssize_t write(int fd, const void* buffer, size_t size) {
  NEXT(write);
  Guard guard(order);
  const uint64_t at = position(fd);
  const ssize_t done = real(fd, buffer, size);
  const struct iovec part = {const_cast<void*>(buffer), size};
  wrote(fd, at, &part, 1, done);
  return done;
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  NEXT(writev);
  Guard guard(order);
  const uint64_t at = position(fd);
  const ssize_t done = real(fd, parts, count);
  wrote(fd, at, parts, count, done);
  return done;
}

ssize_t pwrite64(int fd, const void* buffer, size_t size, off64_t offset) {
  NEXT(pwrite64);
  Guard guard(order);
  const ssize_t done = real(fd, buffer, size, offset);
  const struct iovec part = {const_cast<void*>(buffer), size};
  wrote(fd, static_cast<uint64_t>(offset), &part, 1, done);
  return done;
}

ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) {
  return pwrite64(fd, buffer, size, offset);
}

ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t offset) {
  NEXT(pwritev64);
  Guard guard(order);
  const ssize_t done = real(fd, parts, count, offset);
  wrote(fd, static_cast<uint64_t>(offset), parts, count, done);
  return done;
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) {
  return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t size) {
  NEXT(ftruncate64);
  Guard guard(order);
  const int result = real(fd, size);
  if (result == 0 && !below(path_of(fd)).empty()) {
    put('T', inode_of(fd), static_cast<uint64_t>(size), "", "", 0);
  }
  return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int record_sync(int fd, int (*real)(int)) {
  Guard guard(order);
  const int result = real(fd);
  const std::string name = below(path_of(fd));
  struct stat status;
  if (result != 0 || name.empty() || fstat(fd, &status) != 0) return result;
  const bool directory = S_ISDIR(status.st_mode);
  put(directory ? 'd' : 'F', status.st_ino, 0, directory ? name : "", "", 0);
  return result;
}

int fsync(int fd) {
  NEXT(fsync);
  return record_sync(fd, real);
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  return record_sync(fd, real);
}

int syncfs(int fd) {
  NEXT(syncfs);
  Guard guard(order);
  const int result = real(fd);
  const std::string path = path_of(fd);
  if (result != 0 || below(path).empty()) return result;
  if (nftw(path.c_str(), snapshot, 16, FTW_PHYS) != 0) abort();
  put('S', 0, 0, "", "", 0);
  return result;
}

int rename(const char* from, const char* to) {
  NEXT(rename);
  return record_names('R', path_at(AT_FDCWD, from), path_at(AT_FDCWD, to),
                      [&] { return real(from, to); });
}

int link(const char* from, const char* to) {
  NEXT(link);
  return record_names('L', path_at(AT_FDCWD, from), path_at(AT_FDCWD, to),
                      [&] { return real(from, to); });
}

int unlink(const char* path) {
  NEXT(unlink);
  return record_names('U', path_at(AT_FDCWD, path), "", [&] { return real(path); });
}

int unlinkat(int dir, const char* path, int flags) {
  NEXT(unlinkat);
  return record_names('U', path_at(dir, path), "", [&] { return real(dir, path, flags); });
}

int rmdir(const char* path) {
  NEXT(rmdir);
  return record_names('U', path_at(AT_FDCWD, path), "", [&] { return real(path); });
}

int mkdir(const char* path, mode_t mode) {
  NEXT(mkdir);
  return record_names('D', path_at(AT_FDCWD, path), "", [&] { return real(path, mode); });
}

int mkdirat(int dir, const char* path, mode_t mode) {
  NEXT(mkdirat);
  return record_names('D', path_at(dir, path), "", [&] { return real(dir, path, mode); });
}

}  // extern "C"
