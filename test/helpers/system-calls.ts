/** Counts of system calls, from what strace(1) writes. */

/** What a call is about. Those that only wait, or that a garbage collector makes, are not counted. */
const CLASSES: Record<string, string> = {
  mounts:
    'mount umount2 open_tree move_mount mount_setattr fsopen fsconfig fsmount fspick pivot_root statmount listmount',
  files:
    'open openat openat2 creat close close_range read write pread64 pwrite64 readv writev preadv pwritev ' +
    'stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents64 lseek ' +
    'mkdir mkdirat mknod mknodat rmdir unlink unlinkat symlink symlinkat link linkat rename renameat renameat2 ' +
    'truncate ftruncate fallocate fsync fdatasync syncfs sync_file_range chmod fchmod fchmodat chown fchown fchownat ' +
    'utimensat chdir fchdir getcwd fcntl flock ioctl dup dup2 dup3 copy_file_range sendfile splice umask',
  processes:
    'clone clone3 fork vfork execve execveat wait4 waitid kill tgkill pidfd_open pidfd_getfd pidfd_send_signal exit exit_group',
  privileges:
    'setns unshare prctl capset capget seccomp keyctl setuid setgid setresuid setresgid setgroups setfsuid setfsgid ' +
    'setsid setpgid prlimit64 setrlimit sethostname rt_sigaction rt_sigprocmask personality bpf',
  messages:
    'socket socketpair connect accept accept4 bind listen sendto sendmsg recvfrom recvmsg shutdown setsockopt getsockopt ' +
    'pipe pipe2 eventfd2 memfd_create epoll_ctl epoll_create1 timerfd_create timerfd_settime signalfd4 inotify_add_watch',
};
const CLASS_OF = new Map(
  Object.entries(CLASSES).flatMap(([name, calls]) =>
    calls.split(/\s+/).map((call): [string, string] => [call, name]),
  ),
);

/** Class → call → how often. */
export type Calls = Record<string, Record<string, number>>;

/** Who makes calls: the process that launches, or the monitor and what it launches. */
export type Side = 'server' | 'monitor';

/** Launch → side → calls, one entry for each time that it was done. */
export type Traced = Map<string, Record<Side, Calls>[]>;

/**
 * Reads the output of `strace -f`. Launches are between two calls of access(2) for a path of
 * `/coracle-trace`; programs that are launched count until they run.
 */
export function readTrace(text: string, serverThreads: ReadonlySet<number>): Traced {
  const traced: Traced = new Map();
  const programs = new Set<string>();
  let current: { name: string; sides: Record<Side, Calls> } | undefined;
  for (const line of text.split('\n')) {
    const [, pid = '', call] = /^(\d+)\s+(?:(\w+)\(|<\.\.\. )/.exec(line) ?? [];
    const [, name] = /access\("\/coracle-trace\/([^"]*)"/.exec(line) ?? [];
    if (name !== undefined) {
      if (current?.name === name) {
        traced.set(name, [...(traced.get(name) ?? []), current.sides]);
        current = undefined;
      } else current = { name, sides: { server: {}, monitor: {} } };
      continue;
    }
    if (call !== undefined && current && !programs.has(pid)) {
      count(current.sides[serverThreads.has(Number(pid)) ? 'server' : 'monitor'], call);
    }
    if (/\bexecve(?:at)?(?:\(.*| resumed>.*)\) += 0$/.test(line)) programs.add(pid);
  }
  return traced;
}

function count(calls: Calls, call: string): void {
  const name = CLASS_OF.get(call);
  if (name === undefined) return;
  const own = calls[name] ?? {};
  calls[name] = own;
  own[call] = (own[call] ?? 0) + 1;
}

/** The least that each call was made: what else a process does comes on top now and then. */
export function least(all: readonly Calls[]): Calls {
  return combined(all, (counts) => Math.min(...counts));
}

/** The most, which is what may be. */
export function most(all: readonly Calls[]): Calls {
  return combined(all, (counts) => Math.max(...counts));
}

/** In the order of the alphabet. */
function combined(all: readonly Calls[], combine: (counts: number[]) => number): Calls {
  const keys = (records: (object | undefined)[]) =>
    [...new Set(records.flatMap((each) => Object.keys(each ?? {})))].sort();
  const result: Calls = {};
  for (const name of keys([...all])) {
    const calls = keys(all.map((each) => each[name])).flatMap((call): [string, number][] => {
      const times = combine(all.map((each) => each[name]?.[call] ?? 0));
      return times > 0 ? [[call, times]] : [];
    });
    if (calls.length > 0) result[name] = Object.fromEntries(calls);
  }
  return result;
}

/** A class that has grown beyond its budget, in words; undefined where none has. */
export function overBudget(budget: Calls, found: Calls, allowance: number): string | undefined {
  const sum = (calls: Record<string, number> = {}) =>
    Object.values(calls).reduce((total, each) => total + each, 0);
  const over = Object.keys(found).flatMap((name) => {
    const limit = Math.floor(sum(budget[name]) * (1 + allowance)) + 2;
    const now = sum(found[name]);
    if (now <= limit) return [];
    const grown = Object.entries(found[name] ?? {})
      .map(([call, times]) => ({ call, times, before: budget[name]?.[call] ?? 0 }))
      .filter(({ times, before }) => times > before)
      .map(({ call, times, before }) => `${call} ${times}, was ${before}`);
    return [`${name}: ${now} calls, at most ${limit} are allowed (${grown.join('; ')})`];
  });
  return over.length > 0 ? over.join('\n') : undefined;
}
