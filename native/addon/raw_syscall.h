// System calls without the C library: no errno, no cancellation points, no TLS. For a child that
// shares its parent's memory (CLONE_VM), where the C library's thread state is the parent's.
#ifndef CORACLE_NATIVE_ADDON_RAW_SYSCALL_H_
#define CORACLE_NATIVE_ADDON_RAW_SYSCALL_H_

namespace coracle {

// Returns the result, or -errno.
#if defined(__x86_64__)
inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
#else
#error "coracle runs on x86_64 and aarch64"
#endif

inline long raw_arg(const void* pointer) { return reinterpret_cast<long>(pointer); }

// clone3(2) whose child runs `entry(argument)` on the stack given in `args` and then exits with
// what it returns. Returns the child's pid, or -errno, in the parent only.
using CloneEntry = int (*)(void*);
inline long raw_clone3(const void* args, unsigned long size, CloneEntry entry, void* argument) {
#if defined(__x86_64__)
  register CloneEntry function asm("r8") = entry;
  register void* data asm("r9") = argument;
  long result;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "mov %%eax, %%edi\n\t"
      "mov $60, %%eax\n\t"  // exit
      "syscall\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "0"(435L), "D"(args), "S"(size), "r"(function), "r"(data)
      : "rcx", "r11", "memory", "cc");
  return result;
#else
  register long x8 asm("x8") = 435;
  register const void* x0 asm("x0") = args;
  register unsigned long x1 asm("x1") = size;
  register CloneEntry x2 asm("x2") = entry;
  register void* x3 asm("x3") = argument;
  asm volatile(
      "svc 0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x0, x3\n\t"
      "blr x2\n\t"
      "mov x8, #93\n\t"  // exit
      "svc 0\n\t"
      "brk #1\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
      : "memory", "cc", "x30");
  return reinterpret_cast<long>(x0);
#endif
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_RAW_SYSCALL_H_
