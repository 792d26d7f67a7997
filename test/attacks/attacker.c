// What a hostile program in a container does: attacker COMMAND [ARGUMENT…]
//
// A tool of the tests, compiled by test/helpers/attacker.ts. Each command says on standard output
// what it got hold of, a line for each thing, and nothing where everything was refused.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#define F_GET_SEALS_ 1034  // <linux/fcntl.h>, which collides with <fcntl.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// A line for each thing is enough, however often it succeeds.
static void tell(const char* line) {
  static char told[256][160];
  static int count;
  for (int i = 0; i < count; ++i) {
    if (strncmp(told[i], line, sizeof(told[i]) - 1) == 0) return;
  }
  if (count < 256) snprintf(told[count++], sizeof(told[0]), "%s", line);
  printf("%s\n", line);
  fflush(stdout);
}

// swap A B [A B …]: exchanges each two names, for ever.
static int swap(int count, char** names) {
  for (unsigned long round = 0;; ++round) {
    for (int i = 0; i + 1 < count; i += 2) {
      if (renameat2(AT_FDCWD, names[i], AT_FDCWD, names[i + 1], RENAME_EXCHANGE) != 0) {
        perror(names[i]);
        return 1;
      }
    }
    if (round == 0) tell("swapping");
  }
}

typedef void Visitor(int pid, const char* name);

static void each_process(Visitor* visit) {
  DIR* proc = opendir("/proc");
  if (proc == NULL) return;
  for (struct dirent* entry; (entry = readdir(proc)) != NULL;) {
    const int pid = atoi(entry->d_name);
    if (pid <= 0 || pid == getpid()) continue;
    char path[64], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
    if (fd >= 0) close(fd);
    if (size > 0) name[size - 1] = 0;
    if (size > 0) visit(pid, name);
  }
  closedir(proc);
}

// Said only while the process still runs the runtime's program: the one that it becomes is the
// container's own, and open to its neighbours.
static void got(int pid, const char* name, const char* what) {
  char path[64], link[128] = "", line[160];
  snprintf(path, sizeof(path), "/proc/%d/exe", pid);
  if (readlink(path, link, sizeof(link) - 1) <= 0) return;
  if (strstr(link, "coracle-monitor") == NULL && strstr(link, "node") == NULL) return;
  snprintf(line, sizeof(line), "%s: %s", name, what);
  tell(line);
}

// Everything by which one process gets at another's memory, files or control.
static void pry(int pid, const char* name) {
  static const char* const kFiles[] = {"mem",   "environ", "maps",  "auxv",  "exe",   "cwd",
                                       "root",  "ns/mnt",  "fd/0",  "fd/1",  "fd/3",  "fd/4",
                                       "fd/5",  "fd/6",    "fd/7",  "fd/8",  "fd/9",  "fd/10",
                                       "fd/11", "fd/12",   "fd/13", "fd/14", "fd/15", "fd/16"};
  if (strncmp(name, "coracle", 7) != 0 && strncmp(name, "node", 4) != 0) return;
  tell("seen");
  char path[64];
  for (size_t i = 0; i < sizeof(kFiles) / sizeof(kFiles[0]); ++i) {
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, kFiles[i]);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) continue;
    got(pid, name, kFiles[i]);
    close(fd);
  }
  const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  for (int number = 0; pidfd >= 0 && number < 16; ++number) {
    const int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    if (fd < 0) continue;
    got(pid, name, "pidfd_getfd");
    close(fd);
  }
  if (pidfd >= 0) close(pidfd);
  if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
    got(pid, name, "ptrace");
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
  }
}

// pry SECONDS: at every process of the runtime that comes into view.
static int pry_for(double seconds) {
  const double end = now() + seconds;
  do {
    each_process(pry);
  } while (now() < end);
  return 0;
}

// The file that a process runs: opened while it runs, changed as soon as that may be possible.
static int exes;

static void take_exe(int pid, const char* name) {
  (void)name;
  char path[64], link[128] = "", line[160];
  snprintf(path, sizeof(path), "/proc/%d/exe", pid);
  const ssize_t size = readlink(path, link, sizeof(link) - 1);
  if (size <= 0 || strstr(link, "coracle-monitor") == NULL) return;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ++exes;
  struct stat file;
  fstat(fd, &file);
  const int seals = fcntl(fd, F_GET_SEALS_);
  snprintf(line, sizeof(line), "opened %s seals %d", link, seals);
  tell(line);
  // Not the bits themselves: this may be a file of the machine that the test runs on.
  if (fchmod(fd, file.st_mode & 07777 & ~0111u) == 0) {
    fchmod(fd, file.st_mode & 07777);
    tell("changed its mode");
  }
  char own[64];
  snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
  const double end = now() + 0.05;
  do {
    const int out = open(own, O_WRONLY | O_CLOEXEC);
    if (out < 0) continue;
    char byte;
    if (pread(fd, &byte, 1, 0) == 1 && pwrite(out, &byte, 1, 0) == 1) tell("wrote into it");
    close(out);
    break;
  } while (now() < end);
  close(fd);
}

// exe COUNT SECONDS: that many times, or for so long.
static int take_exes(int count, double seconds) {
  const double end = now() + seconds;
  while (exes < count && now() < end) each_process(take_exe);
  printf("%d times\n", exes);
  return 0;
}

static int try_file(const char* path, const struct stat* status, int type, struct FTW* walk) {
  (void)walk;
  // Root opens what has no mode for it, too, where the kernel then takes nothing.
  if (type != FTW_F || !S_ISREG(status->st_mode) || (status->st_mode & 0222) == 0) return 0;
  const int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return 0;
  puts(path);
  close(fd);
  return 0;
}

// writable DIR…: files that open for writing. Nothing is written.
static int writable(int count, char** roots) {
  for (int i = 0; i < count; ++i) nftw(roots[i], try_file, 64, FTW_PHYS | FTW_MOUNT);
  return 0;
}

static void write_text(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) perror(path);
  close(fd);
}

// cgroup HIERARCHY…: in a user namespace of its own, mounts each of them and looks for the file by
// which the kernel runs a program of the host.
static int cgroup(int count, char** hierarchies) {
  const uid_t uid = getuid();
  char map[32];
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) != 0) {
    perror("unshare");
    return 1;
  }
  snprintf(map, sizeof(map), "0 %u 1", uid);
  write_text("/proc/self/setgroups", "deny");
  write_text("/proc/self/uid_map", map);
  write_text("/proc/self/gid_map", map);
  tell("in a user namespace");
  mkdir("/tmp/cgroup", 0755);
  for (int i = 0; i < count; ++i) {
    if (mount("cgroup", "/tmp/cgroup", "cgroup", 0, hierarchies[i]) != 0) continue;
    const int fd = open("/tmp/cgroup/release_agent", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) tell("release_agent");
    if (fd >= 0) close(fd);
    umount2("/tmp/cgroup", MNT_DETACH);
  }
  return 0;
}

struct Device {
  const char* name;
  mode_t type;
  unsigned major, minor;
};

// Memory, logs, terminals, disks and machines of the host. None does anything by being opened.
static const struct Device kDevices[] = {
    {"mem", S_IFCHR, 1, 1},          {"port", S_IFCHR, 1, 4},
    {"kmsg", S_IFCHR, 1, 11},        {"tty0", S_IFCHR, 4, 0},
    {"tty1", S_IFCHR, 4, 1},         {"ttyS0", S_IFCHR, 4, 64},
    {"console", S_IFCHR, 5, 1},      {"fuse", S_IFCHR, 10, 229},
    {"snapshot", S_IFCHR, 10, 231},  {"kvm", S_IFCHR, 10, 232},
    {"autofs", S_IFCHR, 10, 235},    {"loop-control", S_IFCHR, 10, 237},
    {"vhost-net", S_IFCHR, 10, 238}, {"mice", S_IFCHR, 13, 63},
    {"msr", S_IFCHR, 202, 0},        {"ram0", S_IFBLK, 1, 0},
    {"loop0", S_IFBLK, 7, 0},        {"sda", S_IFBLK, 8, 0},
    {"vda", S_IFBLK, 254, 0},        {"dm-0", S_IFBLK, 253, 0},
    {"nvme0n1", S_IFBLK, 259, 0},
};

// devices DIR: nodes made in DIR that the kernel lets through to a driver, be there one or not.
static int devices(const char* directory) {
  for (size_t i = 0; i < sizeof(kDevices) / sizeof(kDevices[0]); ++i) {
    const struct Device* device = &kDevices[i];
    char path[256], line[160];
    snprintf(path, sizeof(path), "%s/%s", directory, device->name);
    unlink(path);
    if (mknod(path, device->type | 0666, makedev(device->major, device->minor)) != 0) continue;
    for (int access = O_RDONLY; access <= O_WRONLY; ++access) {
      const int fd = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
      if (fd < 0 && (errno == EPERM || errno == EACCES)) continue;
      snprintf(line, sizeof(line), "%s: %s", device->name, fd < 0 ? strerror(errno) : "open");
      tell(line);
      if (fd >= 0) close(fd);
    }
    unlink(path);
  }
  return 0;
}

// keyring: the serial number of the session keyring.
static int keyring(void) {
  printf("%ld\n", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  return 0;
}

// terminal: whether this process can put input into the terminal that it has as standard input.
static int terminal(void) {
  const int own = open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (own >= 0) tell("/dev/tty opens");
  if (!isatty(0)) tell("no terminal");
  for (const char* text = "echo injected\n"; *text != 0; ++text) {
    if (ioctl(0, TIOCSTI, text) == 0) tell("injected");
  }
  return 0;
}

int main(int argc, char** argv) {
  const char* command = argc > 1 ? argv[1] : "";
  if (strcmp(command, "swap") == 0) return swap(argc - 2, argv + 2);
  if (strcmp(command, "pry") == 0 && argc == 3) return pry_for(atof(argv[2]));
  if (strcmp(command, "exe") == 0 && argc == 4) return take_exes(atoi(argv[2]), atof(argv[3]));
  if (strcmp(command, "writable") == 0) return writable(argc - 2, argv + 2);
  if (strcmp(command, "cgroup") == 0) return cgroup(argc - 2, argv + 2);
  if (strcmp(command, "devices") == 0 && argc == 3) return devices(argv[2]);
  if (strcmp(command, "keyring") == 0) return keyring();
  if (strcmp(command, "terminal") == 0) return terminal();
  fprintf(stderr, "usage: attacker swap|pry|exe|writable|cgroup|devices|keyring|terminal …\n");
  return 64;
}
