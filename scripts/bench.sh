#!/usr/bin/env bash
# Sets up and runs the benchmarks. Debian 12's crun refuses a host that has cgroup v1 controllers and
# a cgroup v2 mount beside them, so on such a host every contestant runs without the latter, in a
# mount namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
run=(node --import tsx bench/main.ts "$@")
if mountpoint -q /sys/fs/cgroup/unified; then
  exec unshare --mount sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh "${run[@]}"
fi
exec "${run[@]}"
