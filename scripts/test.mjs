// Runs the test suites and ends with one line of totals; fails if anything failed.
//
//     node scripts/test.mjs [check] [unit] [native] [integration]      default: all, in this order
//
// Suites that need root or tools skip themselves and say why; so does this script.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesBelow, has, heading, root, run } from './run-step.mjs';

/** The longest that one test file may take, ms. */
const FILE_TIMEOUT = 300_000;
const NATIVE_BUILD = 'build-dev/native';

/** How many of the slowest test files are named at the end. */
const SLOWEST = 10;

const total = { passed: 0, failed: 0, skipped: 0 };
/** Why something was skipped → how often. */
const reasons = new Map();
/** Test file → what it took, ms. */
const fileTimes = new Map();

function skipped(reason, count = 1) {
  reasons.set(reason, (reasons.get(reason) ?? 0) + count);
}

function count({ passed = 0, failed = 0, skipped: left = 0 }) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += left;
}

const number = (text, pattern) => Number(text.match(pattern)?.[1] ?? 0);

async function check() {
  const { output, status } = await run(process.execPath, ['scripts/check.mjs']);
  const failed = number(output, /^check: .* (\d+) failed/m);
  count({
    passed: number(output, /^check: (\d+) passed/m),
    failed: status === 0 ? failed : Math.max(1, failed),
    skipped: number(output, /^check: .* (\d+) skipped$/m),
  });
  for (const [, reason] of output.matchAll(/^skipped: (.*)$/gm)) skipped(reason);
}

/**
 * Test files through node:test; what is shown is the spec report, what is counted the TAP one.
 * `within` is a command that runs the command it is given.
 */
async function nodeTests(folders, options, within = []) {
  const files = folders.flatMap((folder) => filesBelow(folder, ['.test.ts']));
  if (files.length === 0) {
    console.log('no test files');
    return;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'coracle-test-'));
  const report = join(scratch, 'report.tap');
  const times = join(scratch, 'times');
  try {
    const [command, ...args] = [
      ...within,
      process.execPath,
      '--import',
      'tsx',
      '--test',
      `--test-timeout=${FILE_TIMEOUT}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=tap',
      `--test-reporter-destination=${report}`,
      '--test-reporter=./scripts/file-times.mjs',
      `--test-reporter-destination=${times}`,
      ...options,
      ...files,
    ];
    const { status, output } = await run(command, args);
    const tap = readFileSync(report, 'utf8');
    const failed = number(tap, /^# fail (\d+)$/m) + number(tap, /^# cancelled (\d+)$/m);
    count({
      passed: number(tap, /^# pass (\d+)$/m),
      failed: status === 0 ? failed : Math.max(1, failed),
      skipped: number(tap, /^# skipped (\d+)$/m),
    });
    if (status !== 0 && failed === 0) {
      const last = output.slice(output.lastIndexOf('\n') + 1);
      console.log(`the tests did not end as they should: exit status ${status} ${last}`);
    }
    for (const [, reason] of tap.matchAll(/^\s*ok \d+ .*# SKIP ?(.*)$/gm)) {
      skipped(reason === '' ? 'no reason given' : reason);
    }
    for (const [, ms, file] of readFileSync(times, 'utf8').matchAll(/^(\d+) (.*)$/gm)) {
      fileTimes.set(file, Number(ms));
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function native() {
  if (!has('cmake')) {
    console.log('skipped: cmake is not installed');
    count({ skipped: 1 });
    skipped('cmake is not installed');
    return;
  }
  for (const args of [
    ['-S', '.', '-B', NATIVE_BUILD],
    ['--build', NATIVE_BUILD, '--target', 'coracle-native-test', '--parallel', '2'],
  ]) {
    const { status, output } = await run('cmake', args, { quiet: true });
    if (status === 0) continue;
    console.log(output);
    count({ failed: 1 });
    return;
  }
  // The monitor that ships, not the one that cmake made.
  process.env.CORACLE_MONITOR = join(root, 'build/Release/coracle-monitor');
  const { status, output } = await run(join(root, NATIVE_BUILD, 'coracle-native-test'), []);
  const failed = number(output, /test cases:.*\|\s*(\d+) failed/);
  const left = number(output, /test cases:.*\|\s*(\d+) skipped/);
  count({
    passed: number(output, /test cases:.*\|\s*(\d+) passed/),
    failed: status === 0 ? failed : Math.max(1, failed),
    skipped: left,
  });
  if (left > 0) skipped('native tests: root is needed, and busybox', left);
}

/** The cgroups of the integration tests are below one of this name, in each hierarchy. */
const CGROUP = `coracle-test-${randomBytes(4).toString('hex')}`;
const APART = [
  ...['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ...['sh', 'scripts/apart.sh', CGROUP],
];

async function integration() {
  const reason = process.getuid() === 0 ? cannotRun([...APART, 'true']) : 'root is needed';
  removeCgroups();
  if (reason !== undefined) {
    console.log(`skipped: ${reason}`);
    count({ skipped: 1 });
    skipped(`all integration tests: ${reason}`);
    return;
  }
  if (distFresh()) process.env.CORACLE_TEST_CLI = 'dist';
  // One file at a time: they share cgroups, mounts, network and processes.
  const folders = ['test/integration', 'test/conformance', 'test/fault'];
  try {
    await nodeTests(folders, ['--test-concurrency=1'], APART);
  } finally {
    removeCgroups();
  }
}

/** As scripts/setup.sh leaves it: then servers are started from there, which saves them compiling. */
function distFresh() {
  const built = statSync(join(root, 'dist/index.js'), { throwIfNoEntry: false });
  const changed = (file) => statSync(join(root, file)).mtimeMs > built.mtimeMs;
  return built !== undefined && !filesBelow('src', ['.ts']).some(changed);
}

/** Removes the cgroups of the integration tests, whose processes have ended with their namespace. */
function removeCgroups() {
  const hierarchies = readFileSync('/proc/self/mountinfo', 'utf8').matchAll(
    /^(?:\S+ ){4}(\S+) .* - cgroup2? /gm,
  );
  for (const [, mountPoint] of hierarchies) {
    const top = join(mountPoint, CGROUP);
    if (existsSync(top)) removeCgroup(top);
  }
}

function removeCgroup(dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(dir, entry.name));
  }
  rmdirSync(dir);
}

/** Why a command fails, if it does. */
function cannotRun([command, ...args]) {
  const { status, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  if (error) return error.message;
  return status === 0 ? undefined : stderr.trim() || `${command}: exit status ${status}`;
}

const stages = {
  check,
  unit: () => nodeTests(['test/unit', 'test/types'], []),
  native,
  integration,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in stages));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(' ')}; there are: ${Object.keys(stages).join(' ')}`);
  process.exit(2);
}
const seconds = (ms) => `${(ms / 1000).toFixed(0).padStart(4)} s`;
const started = Date.now();
const stageTimes = [];
for (const [name, stage] of Object.entries(stages)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  heading(name);
  const before = total.failed;
  const from = Date.now();
  await stage();
  stageTimes.push(`${seconds(Date.now() - from)}  ${name}`);
  if (total.failed > before) console.log(`${name}: FAILED`);
}

heading('total');
for (const [reason, times] of reasons)
  console.log(`skipped: ${reason}${times > 1 ? ` (${times} times)` : ''}`);
const slowest = [...fileTimes].sort(([, a], [, b]) => b - a).slice(0, SLOWEST);
for (const [file, ms] of slowest) console.log(`${seconds(ms)}  ${file}`);
for (const line of stageTimes) console.log(line);
console.log(`${seconds(Date.now() - started)}  in all`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
