#!/usr/bin/env bash
# Sets up and runs the benchmarks, in a network namespace of their own. Debian 12's crun refuses a host that has cgroup v1 controllers and
# a cgroup v2 mount beside them, so on such a host every contestant runs without the latter, in a
# mount namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
run=(node --import tsx bench/main.ts "$@")
prepare='ip link set lo up'
if mountpoint -q /sys/fs/cgroup/unified; then
  prepare+=' && umount /sys/fs/cgroup/unified'
fi
exec unshare --mount --net sh -c "$prepare"' && exec "$@"' sh "${run[@]}"
