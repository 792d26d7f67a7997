// Classic BPF programs that decide by the numbers of system calls, made shorter.
#ifndef CORACLE_NATIVE_ADDON_BPF_RANGES_H_
#define CORACLE_NATIVE_ADDON_BPF_RANGES_H_

#include <linux/filter.h>

#include <vector>

namespace coracle {

// The program with the same verdict for every system call that decides by a binary tree over ranges
// of architectures and numbers, where libseccomp compares with each number of a profile. What then
// looks at arguments is kept as it is. The kernel checks, translates and traces a filter at every
// load, in a time that grows with its length.
//
// `program` itself where it does anything but compare, or where that is no longer.
std::vector<sock_filter> by_ranges(const std::vector<sock_filter>& program);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_BPF_RANGES_H_
