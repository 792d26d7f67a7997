#!/bin/sh
# What benchmarks need of the namespaces that they are in, network and mounts of their own; then runs
# the command that it is given.
set -eu
ip link set lo up
# CNI and containerd keep things in the one, unpacked layers are in the other: both end with the
# namespace, however the benchmarks end.
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
# Debian 12's crun refuses a host with cgroup v1 controllers and a cgroup v2 mount beside them: there
# every contestant runs without the latter. What it writes to the empty directory instead, as if it
# were a cgroup, must not stay on the host.
if mountpoint -q /sys/fs/cgroup/unified; then
  umount /sys/fs/cgroup/unified
  mount -t tmpfs none /sys/fs/cgroup/unified
fi
exec "$@"
