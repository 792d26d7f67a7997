import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { VERSION } from '../../src/observe/version.ts';
import { findPeers } from './host.ts';

export interface Machine {
  processor: string;
  processors: number;
  memory: string;
  kernel: string;
  cgroups: string;
  distribution: string;
  node: string;
  coracle: string;
  /** Program → its version. */
  peers: Record<string, string>;
  begun: string;
  ended?: string;
  /** Averages over 1, 5 and 15 minutes. */
  loadAtBegin: number[];
  loadAtEnd?: number[];
}

export function describeMachine(): Machine {
  const [, name = ''] = /^PRETTY_NAME="(.*)"$/m.exec(text('/etc/os-release')) ?? [];
  return {
    processor: cpus()[0]?.model ?? '',
    processors: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: release(),
    cgroups: cgroupMode(),
    distribution: name,
    node: process.version,
    coracle: [VERSION, commit()].filter(Boolean).join(', '),
    peers: Object.fromEntries(
      Object.entries(findPeers()).map(([peer, path]) => [peer, versionOf(path)]),
    ),
    begun: new Date().toISOString(),
    loadAtBegin: loadavg(),
  };
}

function cgroupMode(): string {
  const types = [...text('/proc/self/mountinfo').matchAll(/ - (cgroup2?) /g)].map((m) => m[1]);
  const [v1, v2] = [types.includes('cgroup'), types.includes('cgroup2')];
  if (v1 && v2) return 'v1 with v2 beside it';
  return v1 ? 'v1' : v2 ? 'v2' : 'none';
}

/** The first version-like word of what a program says of itself. */
export function versionOf(path: string): string {
  try {
    const said = execFileSync(path, ['--version'], { encoding: 'utf8' });
    return /\d+\.\d+\S*/.exec(said)?.[0] ?? said.trim();
  } catch {
    return 'unknown';
  }
}

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const id = git('rev-parse', '--short', 'HEAD');
    const changed = git('status', '--porcelain', '-uno') !== '';
    return `commit ${id}${changed ? ' with changes' : ''}`;
  } catch {
    return '';
  }
}

function text(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
