// Runs the test suites and ends with one line of totals; fails if anything failed.
//
//     node scripts/test.mjs [check] [unit] [native] [integration] [sanitize] [fuzz] [torture]
//
// By default all, in this order.
//
// Suites that need root or tools skip themselves and say why; so does this script.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apart } from './apart.mjs';
import { filesBelow, has, heading, root, run } from './run-step.mjs';
import { buildAhead, fuzz, sanitize } from './sanitizers.mjs';

/** The longest that one test file may take, ms. */
const FILE_TIMEOUT = 600_000;
/** How many places the integration tests have, one file at a time in each. */
const LANES = 2;
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

/** What a stage of scripts/sanitizers.mjs returns. */
function countAll(results) {
  for (const { reasons = [], ...totals } of results) {
    count(totals);
    for (const reason of reasons) skipped(reason);
  }
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

const testFiles = (...folders) => folders.flatMap((folder) => filesBelow(folder, ['.test.ts']));

/**
 * Test files through node:test; what is shown is the spec report, at once or with `quiet` at the
 * end, what is counted the TAP one. `within` is a command that runs the command it is given.
 */
async function nodeTests(files, { options = [], within = [], quiet = false } = {}) {
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
    const { status, output } = await run(command, args, { quiet });
    if (quiet) console.log(output);
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

/** A place apart from the host; undefined where there can be none, for which `what` is skipped. */
function placeFor(what) {
  const place = apart();
  const reason = place.cannotRun();
  place.remove();
  if (reason === undefined) return place;
  console.log(`skipped: ${reason}`);
  count({ skipped: 1 });
  skipped(`${what}: ${reason}`);
  return undefined;
}

async function integration() {
  const places = [];
  try {
    for (let lane = 0; lane < LANES; lane += 1) {
      const place = placeFor('all integration tests');
      if (!place) return;
      places.push(place);
    }
    if (distFresh()) process.env.CORACLE_TEST_CLI = 'dist';
    const files = testFiles('test/integration', 'test/conformance', 'test/fault');
    // Half of the bytes should be about half of the time.
    files.sort((a, b) => statSync(join(root, b)).size - statSync(join(root, a)).size);
    await Promise.all(
      places.map(({ command }, lane) =>
        nodeTests(
          files.filter((_, index) => index % LANES === lane),
          // The files of a place share cgroups, mounts, network and processes.
          { options: ['--test-concurrency=1'], within: command, quiet: lane > 0 },
        ),
      ),
    );
  } finally {
    for (const place of places) place.remove();
  }
}

/** As scripts/setup.sh leaves it: then servers are started from there, which saves them compiling. */
function distFresh() {
  const built = statSync(join(root, 'dist/index.js'), { throwIfNoEntry: false });
  const changed = (file) => statSync(join(root, file)).mtimeMs > built.mtimeMs;
  return built !== undefined && !filesBelow('src', ['.ts']).some(changed);
}

let tortured;

/** Random pods against a model, for two minutes; counts as one test. Begun once. */
function torture() {
  tortured ??= runTorture();
  return tortured;
}

async function runTorture() {
  if (!placeFor('torture')) return;
  const args = ['scripts/torture.mjs', '--minutes', '2'];
  const { status, output } = await run(process.execPath, args, { quiet: true });
  console.log(output);
  count(status === 0 ? { passed: 1 } : { failed: 1 });
}

const stages = {
  check,
  unit: () => nodeTests(testFiles('test/unit', 'test/types')),
  native,
  integration,
  sanitize: async () => countAll(await sanitize()),
  fuzz: async () => {
    // Which leaves the fuzzers time, and they let it go first.
    if (wanted.includes('torture')) torture();
    countAll(await fuzz());
  },
  torture,
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
const wanted = Object.keys(stages).filter((name) => asked.length === 0 || asked.includes(name));
// What the last stages take minutes to compile is made with the time that the first ones leave.
if (wanted.includes('sanitize') && wanted[0] !== 'sanitize') buildAhead();
for (const name of wanted) {
  heading(name);
  const before = total.failed;
  const from = Date.now();
  await stages[name]();
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
