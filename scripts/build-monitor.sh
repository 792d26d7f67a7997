#!/bin/sh
# Builds the monitor as a small static executable: build-monitor.sh OUT
#
# With Debian's musl-tools it links against musl (tens of KB); without, against static glibc (most
# of 1 MB), which works the same. CXX and CXXFLAGS are honoured.
set -eu

out=${1:?usage: build-monitor.sh OUT}
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "$0")/.."

cxx=${CXX:-g++}
machine=$($cxx -dumpmachine)             # x86_64-linux-gnu
version=$($cxx -dumpversion | cut -d. -f1)
arch=${machine%%-*}
# shellcheck disable=SC2046 # a list of file names without spaces
set -- $(node scripts/native-sources.mjs sys launch monitor)

flags="-std=c++20 -O2 -g0 -static -fno-exceptions -fno-rtti -fno-stack-protector
  -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -fno-threadsafe-statics
  -Wall -Wextra -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,norelro -s -I. -D_GNU_SOURCE"

musl_specs=
for candidate in "/usr/lib/$arch-linux-musl/musl-gcc.specs" "/usr/local/musl/lib/musl-gcc.specs"; do
  if [ -z "$musl_specs" ] && [ -f "$candidate" ]; then musl_specs=$candidate; fi
done

mkdir -p "$(dirname "$out")"
temporary=$out.$$
trap 'rm -f "$temporary"' EXIT

if [ -n "$musl_specs" ]; then
  # The specs file hides every other include directory. The header-only part of libstdc++ is all
  # we use of it; __GLIBC_PREREQ is what its configuration, made for glibc, asks musl for.
  # shellcheck disable=SC2086
  $cxx $flags "-D__GLIBC_PREREQ(a,b)=0" -specs "$musl_specs" \
    -isystem "/usr/include/c++/$version" \
    -isystem "/usr/include/$machine/c++/$version" \
    -isystem "/usr/lib/gcc/$machine/$version/include" \
    -idirafter /usr/include -idirafter "/usr/include/$machine" \
    -nodefaultlibs "$@" -lc -lgcc ${CXXFLAGS:-} -o "$temporary"
else
  echo "build-monitor: no musl-gcc.specs found (apt-get install musl-tools); linking against" \
    "glibc: every pod's monitor will use about 0.7 MB more" >&2
  # shellcheck disable=SC2086
  $cxx $flags "$@" ${CXXFLAGS:-} -o "$temporary"
fi
mv "$temporary" "$out"
