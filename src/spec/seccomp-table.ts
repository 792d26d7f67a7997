/**
 * Which system calls a container may make by default, by what they do. The choice is that of
 * Docker's default profile as of mid-2026 (moby/profiles), so that programs meet the same limits
 * here; names are those of the kernel's tables of all architectures, up to Linux 6.18.
 */

/** Files, directories, their attributes and contents. */
const FILES = `
  access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
  faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown
  fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat
  fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents
  getdents64 getxattr getxattrat ioctl lchown lchown32 lgetxattr link linkat listxattr listxattrat
  llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat
  name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
  pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
  renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs
  statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink
  unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev`;

/** Waiting for descriptors and file events, asynchronous I/O. */
const EVENTS = `
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
  epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1
  inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
  io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4`;

/** Sockets, but for socket(2) itself, whose domain is looked at. */
const SOCKETS = `
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
  recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`;

/** Memory. */
const MEMORY = `
  brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall
  mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
  process_mrelease remap_file_pages`;

/** Processes and threads; clone(2) and clone3(2) apart. */
const PROCESSES = `
  capget capset execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid
  getpriority getrlimit get_robust_list getrusage getsid get_thread_area gettid ioprio_get ioprio_set
  pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq sched_getaffinity sched_getattr
  sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
  sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
  sched_setscheduler sched_yield setpgid setpriority setrlimit set_robust_list setsid set_thread_area
  set_tid_address times ugetrlimit uretprobe vfork wait4 waitid waitpid`;

/** Looking into processes of one's own; safe for the filter since Linux 4.8. */
const TRACING = 'process_vm_readv process_vm_writev ptrace';

/** User and group ids. */
const IDENTITY = `
  getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
  getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
  setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
  setreuid32 setuid setuid32`;

/** Signals. */
const SIGNALS = `
  kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
  rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill
  tkill`;

/** Clocks and timers. */
const TIME = `
  adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
  clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer
  time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
  timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`;

/** Futexes, System V IPC, message queues. */
const IPC = `
  futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify
  mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl
  msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`;

/** Sandboxing oneself further, and asking about the system. */
const SYSTEM = `
  getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self listmount
  riscv_hwprobe seccomp statmount sysinfo uname`;

export const ALLOWED: readonly string[] = [
  FILES,
  EVENTS,
  SOCKETS,
  MEMORY,
  PROCESSES,
  TRACING,
  IDENTITY,
  SIGNALS,
  TIME,
  IPC,
  SYSTEM,
].flatMap(names);

/** Allowed besides with a capability: the kernel checks that one itself where it matters. */
export const BY_CAPABILITY: Readonly<Record<string, readonly string[]>> = {
  CAP_BPF: names('bpf'),
  CAP_DAC_READ_SEARCH: names('open_by_handle_at'),
  CAP_PERFMON: names('perf_event_open'),
  CAP_SYSLOG: names('syslog'),
  CAP_SYS_ADMIN: names(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
    lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr
    perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2
    unshare`),
  CAP_SYS_BOOT: names('reboot'),
  CAP_SYS_CHROOT: names('chroot'),
  CAP_SYS_MODULE: names('delete_module finit_module init_module'),
  CAP_SYS_NICE: names('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYS_PACCT: names('acct'),
  CAP_SYS_PTRACE: names('kcmp pidfd_getfd process_madvise'),
  CAP_SYS_RAWIO: names('ioperm iopl'),
  CAP_SYS_TIME: names('clock_settime clock_settime64 settimeofday stime'),
  CAP_SYS_TTY_CONFIG: names('vhangup'),
};

/** Calls that one architecture alone has. */
export const BY_ARCH: Readonly<Record<string, readonly string[]>> = {
  x64: names('arch_prctl modify_ldt'),
  ia32: names('modify_ldt'),
  arm: names('arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2'),
  arm64: names(
    'arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2',
  ),
  ppc64: names('swapcontext sync_file_range2'),
  riscv64: names('riscv_flush_icache'),
  s390x: names('s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr'),
};

/**
 * Calls newer than the profile, which no program relies on and which C libraries replace by an
 * older call where the kernel lacks them: ENOSYS makes them do so, EPERM would be taken for the
 * answer. From 6.17.
 */
export const ABSENT: readonly string[] = names('file_getattr file_setattr');

/** Execution domains that personality(2) may take on: Linux, with or without 32-bit uname. */
export const PERSONALITIES: readonly bigint[] = [
  0x0n, // PER_LINUX
  0x8n, // PER_LINUX32
  0x20000n, // UNAME26
  0x20008n, // UNAME26 | PER_LINUX32
  0xffffffffn, // asks for the present one
];

/** AF_ALG reaches kernel cryptography and AF_VSOCK the hypervisor, past the network namespace. */
export const REFUSED_SOCKET_DOMAINS: readonly bigint[] = [38n, 40n];

/** The CLONE_NEW* flags of clone(2), CLONE_NEWTIME apart, which it cannot take. */
export const CLONE_NAMESPACES = 0x7e020000n;

function names(list: string): string[] {
  return list.trim().split(/\s+/);
}
