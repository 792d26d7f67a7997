#!/bin/sh
# Runs a command apart from the host, for tests that look for what is left behind:
#
#     unshare --net --pid --fork --kill-child --mount-proc sh scripts/apart.sh NAME COMMAND…
#
# What the tests' servers do to the network (bridge, addresses, nftables, forwarding), their mounts,
# their processes and their cgroups are the namespaces', not the host's, and end with them, also
# after a run that was broken off; but for the cgroup NAME, of each hierarchy, which the caller
# removes. What others start on the host meanwhile, or leave there, is not seen.
set -eu
name=$1
shift

# Mount point, type and options of each cgroup hierarchy.
hierarchies() { awk '$(NF - 2) ~ /^cgroup2?$/ { print $5, $(NF - 2), $NF }' /proc/self/mountinfo; }

writable() {
  hierarchies | while read -r at _; do [ -w "$at" ] || return 1; done
}

# Makes the cgroup NAME of each hierarchy this process's.
enter() {
  hierarchies | while read -r at type _; do
    if [ "$type" = cgroup2 ]; then
      for controller in $(cat "$at/cgroup.controllers"); do
        # Of those that cannot be passed on here, the runtime will say that they are not there.
        echo "+$controller" >"$at/cgroup.subtree_control" || true
      done 2>/dev/null
    fi
    mkdir "$at/$name"
    if [ "$type" = cgroup ] && [ -e "$at/cpuset.cpus" ]; then
      cat "$at/cpuset.cpus" >"$at/$name/cpuset.cpus"
      cat "$at/cpuset.mems" >"$at/$name/cpuset.mems"
    fi
    echo $$ >"$at/$name/cgroup.procs"
  done
}

# Mounts the hierarchies anew, by which the cgroups of the namespace become their roots.
look() {
  hierarchies | while read -r at type options; do
    umount "$at"
    if [ "$type" = cgroup ]; then
      mount -t cgroup -o "$(echo "$options" | sed 's/^rw,//; s/name=/none,name=/')" cgroup "$at"
      continue
    fi
    mount -t cgroup2 cgroup2 "$at"
    # The root of a namespace passes controllers on only while no process is in it.
    mkdir "$at/tests"
    echo $$ >"$at/tests/cgroup.procs"
  done
}

ip link set lo up
case ${CORACLE_APART-} in
  '')
    if [ "$(hierarchies)" != '' ] && writable; then
      enter
      CORACLE_APART=cgroup exec unshare --cgroup sh "$0" "$name" "$@"
    fi
    ;;
  *) look ;;
esac
# This shell is process 1 here: it stays, to reap what is left to it.
"$@"
exit $?
