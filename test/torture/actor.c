/*
 * What the containers of the torture run.
 *
 *     actor log KEY SEED LINES LONGEST PAUSE BURST END TERM [tty]
 *
 * writes LINES lines (0: without end) to stdout and stderr, each
 *
 *     KEY STREAM NUMBER LENGTH PAYLOAD SUM
 *
 * with a payload of LENGTH bytes and its FNV-1a in 8 hex digits; the numbers of each stream count
 * from 0. After BURST lines it sleeps up to PAUSE microseconds. LONGEST bounds the longest lines.
 * With "tty" all lines go to stdout. Then it ends, or at once on SIGUSR1, as END says: "exit:N",
 * "signal:N" (to itself), "fault:N" (the signal of a fault, which process 1 of a namespace gets,
 * too), "pause" (never). TERM is what SIGTERM does: "exit:N", "ignore", "default".
 *
 * What it has done is told by counters in a shared mapping of the file /progress: they hold even
 * when it is killed. How often it started, 256 + its exit status where it ends by itself, the lines
 * that it began to write to each stream, those that it wrote.
 *
 *     actor exec SEED OUT ERR CODE MS
 *
 * writes OUT and ERR bytes of a pattern to stdout and stderr, sleeps and ends with CODE.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct progress {
  uint32_t starts, ended, begun[2], written[2];
};

static volatile struct progress *progress;
static volatile sig_atomic_t asked; /* SIGTERM or SIGUSR1 */
static uint32_t state;

static uint32_t chance(void) { /* xorshift32 (Marsaglia 2003) */
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

static uint32_t below(uint32_t n) { return n == 0 ? 0 : chance() % n; }

static void on_signal(int number) { asked = number; }

/* Signals come here and nowhere else, so that no line is left half written by one. */
static void rest(const struct timespec *time) {
  sigset_t none;
  sigemptyset(&none);
  ppoll(NULL, 0, time, &none);
}

static void put(int fd, const char *bytes, size_t size) {
  while (size > 0) {
    const ssize_t done = write(fd, bytes, size);
    if (done < 0) _exit(99);
    bytes += done;
    size -= (size_t)done;
  }
}

static uint32_t payload_size(uint32_t longest) {
  switch (below(64)) {
    case 0:
      return below(longest);
    case 1:
      return 16384 - 40 + below(40); /* the limit of a line is in here, head and sum included */
    case 2:
    case 3:
    case 4:
      return below(2000);
    default:
      return below(100);
  }
}

static void write_line(const char *key, int stream, int fd, uint32_t longest) {
  static char line[1 << 20];
  uint32_t size = payload_size(longest);
  if (size > longest) size = longest;
  char *at = line + sprintf(line, "%s %d %u %u ", key, stream, progress->begun[stream], size);
  uint32_t sum = 2166136261u;
  for (uint32_t i = 0; i < size; ++i) {
    const uint32_t byte = 0x20 + (chance() >> 9) % 0x5f;
    at[i] = (char)(byte == 'Q' ? 0xe9 : byte);
    sum = (sum ^ (uint8_t)at[i]) * 16777619u;
  }
  at += size + sprintf(at + size, " %08x\n", sum);
  size_t left = (size_t)(at - line), from = 0;
  progress->begun[stream] += 1;
  if (below(8) == 0) {
    const size_t cut = below((uint32_t)left);
    put(fd, line, cut);
    from = cut;
    if (below(2) == 0) rest(&(struct timespec){0, (long)below(300000)});
  }
  put(fd, line + from, left - from);
  progress->written[stream] += 1;
}

static void end(const char *how) {
  const int number = atoi(strchr(how, ':') == NULL ? "0" : strchr(how, ':') + 1);
  if (strncmp(how, "exit", 4) == 0) {
    progress->ended = 256u + (uint32_t)number;
    _exit(number);
  }
  progress->ended = 256u + 128u + (uint32_t)number;
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, NULL);
  signal(number, SIG_DFL);
  if (strncmp(how, "signal", 6) == 0) {
    kill(getpid(), number);
    for (;;) pause();
  }
  if (number == SIGSEGV) {
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
  }
  __builtin_trap(); /* SIGILL */
}

static void write_log(char **args, int tty) {
  const char *key = args[0];
  const uint32_t lines = (uint32_t)atoi(args[2]), longest = (uint32_t)atoi(args[3]);
  const uint32_t pause_us = (uint32_t)atoi(args[4]), burst = (uint32_t)atoi(args[5]);
  for (uint32_t n = 0; (lines == 0 || n < lines) && !asked; ++n) {
    const int stream = !tty && below(3) == 0;
    write_line(key, stream, stream + 1, longest);
    const uint32_t us = burst != 0 && n % burst == burst - 1 ? below(pause_us) : 0;
    rest(&(struct timespec){us / 1000000, (long)(us % 1000000) * 1000});
  }
}

static int run_exec(char **args) {
  const uint32_t seed = (uint32_t)atoi(args[0]);
  for (int stream = 0; stream < 2; ++stream) {
    const uint32_t size = (uint32_t)atoi(args[1 + stream]);
    char *bytes = malloc(size + 1);
    for (uint32_t i = 0; i < size; ++i) bytes[i] = (char)('a' + (seed + i * 7 + i / 251) % 26);
    put(1 + stream, bytes, size);
  }
  usleep((useconds_t)atoi(args[4]) * 1000);
  return atoi(args[3]);
}

int main(int argc, char **argv) {
  if (argc == 7 && strcmp(argv[1], "exec") == 0) return run_exec(argv + 2);
  if (argc < 10 || strcmp(argv[1], "log") != 0) return 98;
  const int fd = open("/progress", O_RDWR);
  progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (progress == MAP_FAILED) return 97;
  state = (uint32_t)atoi(argv[3]) | 1u;
  const char *how = argv[8], *term = argv[9];
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGTERM);
  sigaddset(&held, SIGUSR1);
  sigprocmask(SIG_BLOCK, &held, NULL);
  signal(SIGUSR1, on_signal);
  if (strncmp(term, "exit", 4) == 0) signal(SIGTERM, on_signal);
  if (strcmp(term, "ignore") == 0) signal(SIGTERM, SIG_IGN);
  /* From here on signals have the effects that were asked for. */
  progress->starts += 1;
  write_log(argv + 2, argc > 10);
  while (!asked && strcmp(how, "pause") == 0) rest(NULL);
  if (asked == SIGTERM) end(term);
  if (strcmp(how, "pause") == 0) how = "exit:0";
  end(how);
  return 96;
}
