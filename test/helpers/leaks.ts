import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { procStat } from './proc-stat.ts';

/** What the kernel holds for us, to be compared before and after. */
export interface Snapshot {
  processes: string[];
  mounts: string[];
  cgroups: string[];
  networkNamespaces: string[];
  files: string[];
  fds: number;
}

export interface SnapshotOptions {
  /** Directories whose files are listed. */
  dirs?: string[];
  /** The process whose descriptors are counted; default: none. */
  pid?: number;
}

/** Processes are told by name and start time, so that a reused pid does not hide one. */
export function snapshot(options: SnapshotOptions = {}): Snapshot {
  return {
    processes: runtimeProcesses(),
    mounts: mountPoints(),
    cgroups: cgroupDirs(),
    networkNamespaces: networkNamespaces(),
    files: (options.dirs ?? []).flatMap((dir) => walk(dir)).sort(),
    fds: options.pid === undefined ? 0 : fdCount(options.pid),
  };
}

/** What `after` has that `before` had not, by kind; an empty object when nothing leaked. */
export function leaked(before: Snapshot, after: Snapshot): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const kind of ['processes', 'mounts', 'cgroups', 'networkNamespaces', 'files'] as const) {
    const extra = after[kind].filter((each) => !before[kind].includes(each));
    if (extra.length > 0) found[kind] = extra;
  }
  if (after.fds > before.fds) found.fds = [`${before.fds} before, ${after.fds} after`];
  return found;
}

/**
 * Waits, at most `ms`, for what the kernel frees in its own time (network namespaces), and for the
 * monitor that waits for a next pod to be let go of (SpareMonitors).
 */
export function settledLeaks(
  before: Snapshot,
  options: SnapshotOptions = {},
  ms = 15_000,
): Promise<Record<string, string[]>> {
  return untilNothing(() => leaked(before, snapshot(options)), { ms });
}

/** What `look` finds: the first time that it is nothing, or after `ms`, in turns `pause` ms apart. */
export async function untilNothing<T extends object>(
  look: () => T | Promise<T>,
  { ms = 15_000, pause = 50 } = {},
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (Object.keys(found).length === 0 || Date.now() > end) return found;
    await sleep(pause);
  }
}

export function fdCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function pids(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

/** Every process that a runtime may have left: monitors, and what has other mounts than we have. */
function runtimeProcesses(): string[] {
  const ours = readlinkSync('/proc/self/ns/mnt');
  const found: string[] = [];
  for (const pid of pids()) {
    try {
      const { comm, startTicks } = procStat(pid);
      const foreign = !comm.startsWith('coracle') && mountNamespace(pid) === ours;
      if (!foreign) found.push(`${pid}@${startTicks} ${comm}`);
    } catch {
      // It ended while we looked.
    }
  }
  return found.sort();
}

/** A kernel thread and a zombie have none to show, and count as ours. */
function mountNamespace(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return readlinkSync('/proc/self/ns/mnt');
  }
}

function mountPoints(): string[] {
  const text = readFileSync('/proc/self/mountinfo', 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' ').slice(2, 5).join(' '));
}

/** Without the parent of all pods' cgroups, which stays for the next pod. */
function cgroupDirs(): string[] {
  return walk('/sys/fs/cgroup', true)
    .filter((path) => basename(path) !== 'coracle')
    .sort();
}

function networkNamespaces(): string[] {
  const found = new Set<string>();
  for (const pid of pids()) {
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It ended while we looked.
    }
  }
  return [...found].sort();
}

function walk(dir: string, dirsOnly = false): string[] {
  const found: string[] = [];
  let entries: import('node:fs').Dirent[];
  try {
    entries = readdirSync(dir, { withFileTypes: true });
  } catch {
    return found;
  }
  for (const entry of entries) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) found.push(path, ...walk(path, dirsOnly));
    else if (!dirsOnly) found.push(path);
  }
  return found;
}
