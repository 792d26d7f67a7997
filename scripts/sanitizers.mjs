// Builds what runs under sanitizers, and runs it: the stages `sanitize` and `fuzz` of
// scripts/test.mjs. One tree has AddressSanitizer and UndefinedBehaviorSanitizer in the tests, the
// monitor and the fuzzers, which share its objects; another has ThreadSanitizer in what has threads.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { filesBelow, has, root, run } from './run-step.mjs';

const memory = {
  name: 'ASan and UBSan',
  folder: 'build-dev/sanitize',
  sanitize: 'address,undefined',
  test: 'coracle-native-test',
  targets: ['coracle-native-test', 'fuzzers'],
};
const threads = {
  name: 'TSan',
  folder: 'build-dev/sanitize-thread',
  sanitize: 'thread',
  test: 'coracle-thread-test',
  targets: ['coracle-thread-test'],
};

/** How long each fuzzer runs, s, and how many at a time. */
const FUZZ_SECONDS = Number(process.env.CORACLE_FUZZ_SECONDS ?? 60);
const FUZZ_LANES = 2;
/** A single input that takes longer than this is a finding, s. */
const INPUT_SECONDS = 30;
/** Of a fuzzer that root alone can run; libFuzzer's own are 70, 71, 77 and 1. */
const NEEDS_ROOT = 69;

// Without llvm-symbolizer the traces have source lines from binutils.
const environment = {
  ASAN_OPTIONS: 'allow_addr2line=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:allow_addr2line=1',
  TSAN_OPTIONS: 'allow_addr2line=1',
};

const number = (text, pattern) => Number(text.match(pattern)?.[1] ?? 0);
const skip = (reason) => ({ skipped: 1, reasons: [reason] });

/** Why a tree can't be built here, if it can't. */
function cannotBuild({ sanitize }) {
  for (const tool of ['cmake', 'clang++']) {
    if (!has(tool)) return `${tool} is not installed`;
  }
  const args = [`-fsanitize=${sanitize}`, '-x', 'c++', '-', '-o', '/dev/null'];
  const { status } = spawnSync('clang++', args, { input: 'int main() {}' });
  return status === 0 ? undefined : `clang++ has no -fsanitize=${sanitize} (libclang-rt-dev)`;
}

/** Resolves with the compiler's output where the build fails. */
async function build({ folder, sanitize, targets }, jobs) {
  const cached = existsSync(join(root, folder, 'CMakeCache.txt'));
  const compiler = cached ? [] : ['-DCMAKE_CXX_COMPILER=clang++'];
  for (const args of [
    ['-S', '.', '-B', folder, `-DCORACLE_SANITIZE=${sanitize}`, ...compiler],
    ['--build', folder, '--target', ...targets, '--parallel', `${jobs}`],
  ]) {
    const { status, output } = await run('nice', ['-n', '19', 'cmake', ...args], { quiet: true });
    if (status !== 0) return output;
  }
  return undefined;
}

const builds = new Map();

/** Builds a tree, once. Resolves with `reason` where that can't be done here, `failure` where it fails. */
function built(tree, jobs = 2) {
  const begin = async () => {
    const reason = cannotBuild(tree);
    return reason === undefined ? { failure: await build(tree, jobs) } : { reason };
  };
  if (!builds.has(tree)) builds.set(tree, begin());
  return builds.get(tree);
}

/** Begins to build what the stages need, with the time that other suites leave. */
export async function buildAhead() {
  await built(memory, 1);
  await built(threads, 1);
}

/** Runs a test binary with the addresses where the sanitizers of older kernels expect them. */
function runTest({ folder, test }) {
  const fixed = ['setarch', '--addr-no-randomize'];
  const usable = spawnSync(fixed[0], [fixed[1], 'true']).status === 0;
  const command = [...(usable ? fixed : []), join(root, folder, test)];
  const env = { ...process.env, ...environment };
  // The monitor of the same tree, not the one that ships.
  delete env.CORACLE_MONITOR;
  return run(command[0], command.slice(1), { quiet: true, env });
}

async function test(tree) {
  const { reason, failure } = await built(tree);
  if (reason) return skip(`${tree.name}: ${reason}`);
  if (failure) {
    console.log(failure);
    return { failed: 1 };
  }
  const { status, output } = await runTest(tree);
  const unusable = output.match(
    /^.*(unexpected memory mapping|Sanitizer can't|failed to mmap).*$/m,
  );
  if (status !== 0 && unusable) return skip(`${tree.name}: ${unusable[0].trim()}`);
  console.log(`${tree.name}:\n${output.trimEnd()}`);
  const failed = number(output, /test cases:.*\|\s*(\d+) failed/);
  const skipped = number(output, /test cases:.*\|\s*(\d+) skipped/);
  return {
    passed: number(output, /test cases:.*\|\s*(\d+) passed/),
    failed: status === 0 ? failed : Math.max(1, failed),
    skipped,
    reasons: skipped > 0 ? [`${tree.name}: root is needed, and busybox`] : [],
  };
}

/** The native tests under ASan with leak check and UBSan; those with threads under TSan. */
export async function sanitize() {
  for (const tree of [memory, threads]) await built(tree);
  return await Promise.all([test(memory), test(threads)]);
}

/** What is said of a finding: everything that repeats it elsewhere. */
function describe(name, findings) {
  for (const file of readdirSync(findings)) {
    const bytes = readFileSync(join(findings, file)).toString('base64');
    console.log(`${name}: ${file}; to repeat it:`);
    console.log(`  echo ${bytes} | base64 -d >/tmp/${file}`);
    console.log(`  ${memory.folder}/${name} /tmp/${file}`);
  }
}

async function fuzzOne(name) {
  // Layers are synced, which costs nothing on a tmpfs.
  const scratch = mkdtempSync(
    join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'coracle-fuzz-'),
  );
  const findings = join(scratch, 'findings');
  const corpus = join(scratch, 'corpus');
  mkdirSync(findings);
  mkdirSync(corpus);
  try {
    const args = [
      `-max_total_time=${FUZZ_SECONDS}`,
      `-timeout=${INPUT_SECONDS}`,
      `-artifact_prefix=${findings}/`,
      '-print_final_stats=1',
      corpus,
      join(root, 'test/fuzz/corpus', name.replace(/^fuzz-/, '')),
    ];
    const env = { ...process.env, ...environment, TMPDIR: scratch };
    const { status, output } = await run(join(root, memory.folder, name), args, {
      quiet: true,
      env,
    });
    if (status === NEEDS_ROOT) return skip(`${name}: root is needed`);
    if (status === 0) {
      const inputs = number(output, /^stat::number_of_executed_units: *(\d+)$/m);
      const covered = output.match(/^.*DONE *cov: (\d+)/m)?.[1];
      console.log(`${name}: ${inputs} inputs, ${covered} edges covered`);
      return { passed: 1 };
    }
    // Without what was said while it looked.
    const found = output.search(/^.*(ERROR: |runtime error: | fuzzer: )/m);
    console.log(output.slice(Math.max(0, found)).trimEnd());
    describe(name, findings);
    return { failed: 1 };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Every fuzzer for its time; anything found is a failure, and printed so that it can be repeated. */
export async function fuzz() {
  const { reason, failure } = await built(memory);
  if (reason) return [skip(`fuzzers: ${reason}`)];
  if (failure) {
    console.log(failure);
    return [{ failed: 1 }];
  }
  const left = filesBelow('test/fuzz', ['.cc']).map(
    (file) => `fuzz-${basename(file, '.cc').replaceAll('_', '-')}`,
  );
  const results = [];
  const lane = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      results.push(await fuzzOne(name));
    }
  };
  await Promise.all(Array.from({ length: FUZZ_LANES }, lane));
  return results;
}
