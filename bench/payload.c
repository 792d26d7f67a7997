/*
 * What the benchmarks run in containers, so that they measure no libc and no shell: 10 KB, static,
 * without any library. Its clock is CLOCK_MONOTONIC, which every process of a host shares.
 *
 *     payload                      waits for a signal that kills it
 *     payload stamp FILE [MS]      sleeps MS, writes the time in ns to FILE, ends
 *     payload flood LENGTH BYTES [MS BEGIN END]
 *                                  sleeps MS, writes the time to BEGIN, then BYTES in lines of LENGTH
 *                                  bytes to stdout, the time to END, ends
 */
#include <sys/syscall.h>

#define CLOCK_MONOTONIC 1
#define AT_FDCWD -100
#define O_WRONLY_CREAT_TRUNC 01101
#define BLOCK (64 * 1024)

struct timespec64 {
  long seconds, nanoseconds;
};

static long sys(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
  long result;
  register long fourth __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#else
#error "no system calls for this architecture"
#endif
}

static long number_of(const char* text) {
  long value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
  return value;
}

static long stamp(const char* path, long now) {
  char text[24];
  int at = sizeof text;
  for (; now > 0; now /= 10) text[--at] = (char)('0' + now % 10);
  long fd = sys(SYS_openat, AT_FDCWD, (long)path, O_WRONLY_CREAT_TRUNC, 0644);
  if (fd < 0) return 1;
  long size = (long)sizeof text - at;
  return sys(SYS_write, fd, (long)(text + at), size, 0) == size ? 0 : 1;
}

static long monotonic(void) {
  struct timespec64 now = {0, 0};
  sys(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
  return now.seconds * 1000000000L + now.nanoseconds;
}

static char block[BLOCK];

/* Blocks of whole lines, so that one block does for all and making it costs nothing. */
static long flood(long length, long bytes) {
  if (length < 1 || length > BLOCK) return 1;
  long size = BLOCK - BLOCK % length;
  for (long i = 0; i < size; ++i) block[i] = 'x';
  for (long i = length - 1; i < size; i += length) block[i] = '\n';
  for (long written = 0; written < bytes;) {
    long at = written % size;
    long left = bytes - written < size - at ? bytes - written : size - at;
    long result = sys(SYS_write, 1, (long)(block + at), left, 0);
    if (result <= 0) return 1;
    written += result;
  }
  return 0;
}

static void pause_for(long ms) {
  struct timespec64 pause = {ms / 1000, ms % 1000 * 1000000L};
  sys(SYS_nanosleep, (long)&pause, 0, 0, 0);
}

__attribute__((used)) void begin(long* stack) {
  long now = monotonic();
  long argc = stack[0];
  char** argv = (char**)(stack + 1);
  long result = 0;
  if (argc >= 4 && argv[1][0] == 'f') {
    if (argc >= 7) {
      pause_for(number_of(argv[4]));
      result = stamp(argv[5], monotonic());
    }
    if (result == 0) result = flood(number_of(argv[2]), number_of(argv[3]));
    if (result == 0 && argc >= 7) result = stamp(argv[6], monotonic());
  } else if (argc >= 3) {
    if (argc >= 4) {
      pause_for(number_of(argv[3]));
      now = monotonic();
    }
    result = stamp(argv[2], now);
  } else {
    for (;;) pause_for(86400000);
  }
  sys(SYS_exit_group, result, 0, 0, 0);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n hlt");
#else
__asm__(".globl _start\n_start: mov x0, sp\n bl begin");
#endif
