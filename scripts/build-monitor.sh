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

# The launch runs a few hundred instructions a process: it is built for size, since every pod has a
# copy. The log pump of the monitor is built for speed.
flags="-std=c++20 -g0 -static -fno-exceptions -fno-rtti -fno-stack-protector
  -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -fno-threadsafe-statics
  -Wall -Wextra -I. -D_GNU_SOURCE"
link_flags="-static -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,norelro -s"

musl_specs=
for candidate in "/usr/lib/$arch-linux-musl/musl-gcc.specs" "/usr/local/musl/lib/musl-gcc.specs"; do
  if [ -z "$musl_specs" ] && [ -f "$candidate" ]; then musl_specs=$candidate; fi
done

mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ -n "$musl_specs" ]; then
  # The specs file hides every other include directory. The header-only part of libstdc++ is all
  # we use of it; __GLIBC_PREREQ is what its configuration, made for glibc, asks musl for.
  flags="$flags -D__GLIBC_PREREQ(a,b)=0 -specs $musl_specs
    -isystem /usr/include/c++/$version
    -isystem /usr/include/$machine/c++/$version
    -isystem /usr/lib/gcc/$machine/$version/include
    -idirafter /usr/include -idirafter /usr/include/$machine"
  link_flags="$link_flags -specs $musl_specs -nodefaultlibs"
  libraries="-lc -lgcc"
else
  echo "build-monitor: no musl-gcc.specs found (apt-get install musl-tools); linking against" \
    "glibc: every pod's monitor will use about 0.7 MB more" >&2
  libraries=
fi

# compile GROUP OPTIMIZATION: objects into $work/GROUP
compile() {
  sources=$(node scripts/native-sources.mjs "$1")
  mkdir "$work/$1"
  for source in $sources; do
    # shellcheck disable=SC2086 # flags are words
    $cxx $flags "$2" ${CXXFLAGS:-} -c "$source" \
      -o "$work/$1/$(basename "$source" .cc).o" || return 1
  done
}

compile monitor -O2 &
monitor=$!
compile launch -Os
compile sys -Os
wait "$monitor"
# shellcheck disable=SC2086
$cxx $link_flags "$work"/*/*.o $libraries -o "$work/coracle-monitor"
mv "$work/coracle-monitor" "$out"
