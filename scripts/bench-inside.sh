#!/bin/sh
# What benchmarks need of the namespaces that they are in, network and mounts of their own; then runs
# the command that it is given.
set -eu
ip link set lo up
# CNI and containerd keep things there.
mount -t tmpfs none /run
# Debian 12's crun refuses a host with cgroup v1 controllers and a cgroup v2 mount beside them: there
# every contestant runs without the latter.
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
exec "$@"
