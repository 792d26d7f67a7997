/** The benchmarks themselves, at their smallest: that they run, report everything, and leave nothing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { verdicts } from '../../bench/report/budgets.ts';
import type { Results } from '../../bench/report/results.ts';
import { SUITE } from '../../bench/suite.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

const TIMEOUT = 300_000; // ms

/** What every report has of Coracle: benchmark, and the beginning of what was measured. */
const ROWS: [benchmark: string, what: string][] = [
  ['launch', 'create + start → first instruction'],
  ['launch', 'start → first instruction'],
  ...['Create', 'Start', 'Stop', 'Remove'].map((c): [string, string] => ['rpc', `${c}Container`]),
  ['rpc', 'ContainerStatus'],
  ...['RunPodSandbox', 'StopPodSandbox', 'RemovePodSandbox'].flatMap((call): [string, string][] => [
    ['pods', `${call}, host network`],
    ['pods', `${call}, embedded network`],
  ]),
  ['pods', 'pods started'],
  ['pods', 'pods stopped and removed'],
  ['exec', 'ExecSync true'],
  ['exec', 'CPU of server and monitor'],
  ['exit', 'exit → promise, on disk'],
  ['exit', 'exit → ContainerStatus'],
  ...['20 B', '100 B', '1 KiB', '16 KiB'].flatMap((length): [string, string][] => [
    ['logs', `${length} lines`],
    ['logs', `CPU, ${length} lines`],
  ]),
  ['logs', 'ExecSync beside a container that floods its log'],
  ['status', 'ListContainers, '],
  ['status', 'ContainerStatus, '],
  ...[
    'server RSS',
    'memory',
    'memory for each pod',
    'CPU at rest',
    'StartContainer',
    'restart',
  ].map((what): [string, string] => ['scale', `${what}, 2 pods`]),
  ['pull', 'pull of a small image'],
  ['pull', 'pull of a large image'],
  ...['tar', 'gzip', 'zstd'].map((form): [string, string] => ['unpack', `unpack, ${form}`]),
  ['loop', 'delay added, p99'],
];

test('every benchmark runs, is reported, and leaves nothing', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('root is needed');
  const dir = mkdtempSync(join(tmpdir(), 'coracle-bench-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const scratch = () => readdirSync(tmpdir()).filter((name) => name.startsWith('coracle-bench-'));
  const before = snapshot();
  const filesBefore = scratch();
  const report = join(dir, 'report');
  const bench = ['bench/main.ts', '--size', 'smallest', '--report', report];
  const args = ['--mount', '--net', 'sh', 'scripts/bench-inside.sh'];
  args.push(process.execPath, '--import', 'tsx', ...bench);
  // containerd, where it is installed, takes longer than all else.
  const env = { ...process.env, CONTAINERD: 'none', PODMAN: 'none' };
  const run = spawnSync('unshare', args, { cwd: PACKAGE, encoding: 'utf8', env, timeout: TIMEOUT });
  assert.equal(run.status, 0, run.stderr);

  const results = JSON.parse(readFileSync(join(report, 'results.json'), 'utf8')) as Results;
  assert.deepEqual(
    results.benchmarks.map(({ name }) => name),
    Object.keys(SUITE),
  );
  for (const [benchmark, what] of ROWS) {
    const rows = results.benchmarks.find(({ name }) => name === benchmark)?.rows ?? [];
    const row = rows.find((each) => each.who === 'coracle' && each.what.startsWith(what));
    assert.ok(row, `${benchmark} has ${what}`);
    assert.ok(Number.isFinite(row.summary.median), `${benchmark}: ${what} is a number`);
  }
  const text = readFileSync(join(report, 'report.md'), 'utf8');
  for (const { what } of verdicts(results)) {
    assert.ok(text.includes(`| ${what} |`), `the report has the budget of ${what}`);
  }
  const charts = [...text.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, file = '']) => file);
  const wanted = results.benchmarks.reduce((sum, each) => sum + each.charts.length, 0);
  assert.equal(charts.length, wanted);
  for (const file of charts) {
    assert.match(readFileSync(join(report, file), 'utf8'), /^<svg [\s\S]*<\/svg>\n$/);
  }

  assert.deepEqual(await settledLeaks(before), {});
  assert.deepEqual(scratch(), filesBefore);
});
