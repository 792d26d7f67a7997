/** What the kernel and the disk hold, before anything was made and after all was removed. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../../src/store/open.ts';
import { untilNothing } from '../helpers/leaks.ts';
import { procStat } from '../helpers/proc-stat.ts';

export type Snapshot = Readonly<Record<string, readonly string[]>>;

/** How long the kernel may take to free what nobody has any more, ms. */
const SETTLE_MS = 20_000;

/** `server`: its pid while it runs, whose descriptors are listed. */
export function snapshot(dirs: readonly string[], server: number): Snapshot {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return {
    processes: pids.flatMap((pid) => processOf(pid)).sort(),
    mounts: lines(readFileSync('/proc/self/mountinfo', 'utf8'))
      .map((line) => line.split(' ').slice(3, 5).join(' '))
      .sort(),
    cgroups: below('/sys/fs/cgroup', true),
    namespaces: [...new Set(pids.flatMap((pid) => namespaces(pid)))].sort(),
    links: lines(run('ip', ['-o', 'link'])).map((line) => line.split(' ')[1] ?? ''),
    rules: lines(run('nft', ['list', 'ruleset'])).map((line) => line.replace(/counter.*$/, '')),
    files: dirs.flatMap((dir) => below(dir, false)),
    descriptors: descriptors(server),
  };
}

/** What `after` has more of, by kind. */
export function leaks(before: Snapshot, after: Snapshot): string[] {
  return Object.entries(after).flatMap(([kind, items]) => {
    const known = [...(before[kind] ?? [])];
    const extra = items.filter((item) => {
      const at = known.indexOf(item);
      if (at !== -1) known.splice(at, 1);
      return at === -1;
    });
    return extra.map((item) => `leaked, of ${kind}: ${item}`);
  });
}

/** Waits for what the kernel frees in its own time. */
export function settledLeaks(before: Snapshot, look: () => Snapshot): Promise<string[]> {
  return untilNothing(() => leaks(before, look()), { ms: SETTLE_MS, pause: 200 });
}

/** Records that a store has when nothing is there any more: pods, containers, addresses. */
export async function recordsLeft(root: string): Promise<string[]> {
  const problems: string[] = [];
  const store = await openStore(root, {
    onProblem: ({ table, key }) => problems.push(`a record was set aside: ${table} ${key}`),
  });
  const tables = ['sandboxes', 'containers', 'container-status', 'addresses', 'cni'];
  const left = tables.flatMap((name) =>
    [...store.table<{ kind?: string }>(name).entries()]
      .filter(([, value]) => value.kind === undefined || value.kind === 'held')
      .map(([key]) => `a record is left: ${name} ${key}`),
  );
  await store.close();
  return [...problems, ...left];
}

const lines = (text: string) => text.split('\n').filter(Boolean);
const run = (command: string, args: string[]) => execFileSync(command, args, { encoding: 'utf8' });

/** Without zombies of ours that are about to be reaped, kernel threads, and who looks. */
function processOf(pid: string): string[] {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    const { comm, state, parent } = procStat(pid);
    if (parent === process.pid || Number(pid) === process.pid) return [];
    return [`${command || `${pid} (${comm})`} ${state === 'Z' ? 'zombie' : ''}`];
  } catch {
    return [];
  }
}

function namespaces(pid: string): string[] {
  try {
    return ['net', 'mnt', 'pid', 'ipc', 'uts'].map((kind) =>
      readlinkSync(`/proc/${pid}/ns/${kind}`),
    );
  } catch {
    return [];
  }
}

/** By what they are, without the numbers of sockets and pipes. */
function descriptors(pid: number): string[] {
  if (pid === 0) return [];
  return readdirSync(`/proc/${pid}/fd`)
    .flatMap((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, '');
      } catch {
        return [];
      }
    })
    .sort();
}

/** Without the parent of all pods' cgroups, which stays for the next pod. */
function below(dir: string, dirsOnly: boolean): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) found.push(path, ...below(path, dirsOnly));
    else if (!dirsOnly) found.push(path);
  }
  return found.sort();
}
