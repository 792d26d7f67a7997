/**
 * The launch path makes no more system calls than it did: times differ from host to host and from
 * run to run, counts do not. After a change that is worth more calls, or saves some:
 *
 *     CORACLE_SYSCALLS=write node --import tsx --test test/integration/launch-syscalls.test.ts
 *
 * writes what is counted then to launch-syscalls.json, whose diff says what has changed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type Calls,
  least,
  most,
  overBudget,
  readTrace,
  type Side,
} from '../helpers/system-calls.ts';

const BUDGET = new URL('launch-syscalls.json', import.meta.url);
const LAUNCHER = fileURLToPath(new URL('../helpers/traced-launches.ts', import.meta.url));
const TIMES = 5;
const TIMEOUT = 120_000; // ms
/** How much more than the budget is no reason to fail: what runs at the same time varies. */
const ALLOWANCE: Record<Side, number> = { monitor: 0.05, server: 0.15 };
/** From here on overlays are made of descriptors, and nothing falls back to what is older. */
const KERNEL = { major: 6, minor: 15 };

interface Budget {
  /** Of cgroup v1 and v2: each has calls of its own. */
  hierarchies: string[];
  launches: Record<string, Record<Side, Calls>>;
}

function hierarchies(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').matchAll(
    / - (cgroup2?) \S+ (\S+)$/gm,
  );
  const names = [...mounts].map(([, type, options = '']) =>
    type === 'cgroup2' ? 'v2' : options.split(',').slice(1).join(','),
  );
  return [...new Set(names)].sort();
}

/** Why the budget says nothing about this host. */
function whyNot(budget: Budget): string | undefined {
  if (process.getuid?.() !== 0) return 'root is needed';
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major < KERNEL.major || (major === KERNEL.major && minor < KERNEL.minor)) {
    return `the budget is one for Linux ${KERNEL.major}.${KERNEL.minor} and later`;
  }
  const own = hierarchies();
  if (own.join() !== budget.hierarchies.join()) {
    return `the budget is one for other cgroups: ${budget.hierarchies}; here are ${own}`;
  }
  const tried = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (tried.error) return 'strace is not installed';
  return tried.status === 0 ? undefined : `strace cannot trace here: ${tried.stderr.trim()}`;
}

/** Traces launches of a process of its own; returns the trace and the launcher's threads. */
async function trace(file: string): Promise<{ text: string; threads: Set<number> }> {
  const launcher = spawn(process.execPath, ['--import', 'tsx', LAUNCHER, String(TIMES)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: launcher.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error('the launcher has ended');
    return value;
  };
  // Of a launcher that has ended, which is told below.
  launcher.stdin.on('error', () => {});
  let tracer: ChildProcess | undefined;
  try {
    const { monitorPid } = JSON.parse(await next()) as { monitorPid: number };
    const pids = [launcher.pid, monitorPid].flatMap((pid) => ['-p', String(pid)]);
    tracer = spawn('strace', ['-f', '-o', file, ...pids], { stdio: ['ignore', 'ignore', 'pipe'] });
    await attached(tracer, [launcher.pid ?? 0, monitorPid]);
    launcher.stdin.write('go\n');
    assert.equal(await next(), 'done');
    const threads = new Set(readdirSync(`/proc/${launcher.pid}/task`).map(Number));
    await end(tracer);
    return { text: readFileSync(file, 'utf8'), threads };
  } finally {
    if (tracer) await end(tracer);
    const ended = once(launcher, 'exit');
    launcher.stdin.end('end\n');
    if (launcher.exitCode === null && launcher.signalCode === null) await ended;
  }
}

/** The kernel names the tracer of a process that has one. */
async function attached(tracer: ChildProcess, pids: number[]): Promise<void> {
  const traced = () =>
    pids
      .flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`))
      .every((dir) => !/^TracerPid:\t0$/m.test(readFileSync(`${dir}/status`, 'utf8')));
  while (!traced()) {
    assert.ok(tracer.exitCode === null && tracer.signalCode === null, 'strace has ended');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Lets go of what it traces, which goes on. */
async function end(tracer: ChildProcess): Promise<void> {
  if (tracer.exitCode !== null || tracer.signalCode !== null) return;
  const ended = once(tracer, 'exit');
  tracer.kill('SIGTERM');
  await ended;
}

test('a launch makes no more system calls than its budget', { timeout: TIMEOUT }, async (t) => {
  const writing = process.env.CORACLE_SYSCALLS === 'write';
  const committed = JSON.parse(readFileSync(BUDGET, 'utf8')) as Budget;
  const budget = writing ? { hierarchies: hierarchies(), launches: {} } : committed;
  const reason = whyNot(budget);
  if (reason) return t.skip(reason);
  const dir = mkdtempSync(join(tmpdir(), 'coracle-trace-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const { text, threads } = await trace(join(dir, 'trace'));
  const traced = readTrace(text, threads);
  assert.deepEqual([...traced.keys()], ['create and start', 'exec']);
  for (const [name, all] of traced) {
    assert.equal(all.length, TIMES, `${name} was traced each time`);
    // The first of its kind fills what later ones find.
    const later = all.slice(1);
    const both = (combine: (all: Calls[]) => Calls) => ({
      monitor: combine(later.map((each) => each.monitor)),
      server: combine(later.map((each) => each.server)),
    });
    const found = both(least);
    const seen = both(most);
    if (writing) budget.launches[name] = seen;
    for (const side of ['monitor', 'server'] as const) {
      const limits = budget.launches[name]?.[side];
      assert.ok(limits, `${name} has a budget`);
      const over = overBudget(limits, found[side], ALLOWANCE[side]);
      assert.equal(over, undefined, `${name}, the ${side}'s part, has grown:\n${over}`);
      if (overBudget(seen[side], limits, ALLOWANCE[side]) !== undefined) {
        t.diagnostic(`${name}, the ${side}'s part, makes fewer calls by now: write down how many`);
      }
    }
  }
  if (writing) writeFileSync(BUDGET, `${JSON.stringify(budget, null, 2)}\n`);
});
