/**
 * `npm run bench` (scripts/bench.mjs) runs this apart from the host:
 *
 *     npm run bench -- [NAME…] [--quick] [--rounds N] [--json FILE] [--report DIR] [--dir DIR] [--phases]
 *
 * Without names, all of suite.ts. Exits with 1 if one failed; the others are reported all the same.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type { Size } from './benchmark.ts';
import { openHost } from './hosts/host.ts';
import { describeMachine } from './hosts/machine.ts';
import { printPhases } from './phases.ts';
import { tables } from './report/markdown.ts';
import type { Results } from './report/results.ts';
import { writeReport } from './report/write.ts';
import { SUITE } from './suite.ts';

const USAGE = `npm run bench -- [NAME…] [options]

  NAME            ${Object.keys(SUITE).join(', ')}; default: all
  --quick         a look: small sizes, few rounds
  --size SIZE     full, quick or smallest
  --rounds N      instead of each benchmark's own number
  --dir DIR       on the file system that is to be measured by unpack; default: in memory
  --json FILE     writes what was measured
  --report DIR    writes tables and charts
  --from FILE     measures nothing: takes what --json wrote
  --phases        only launches, and shows where their time goes`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    size: { type: 'string' },
    rounds: { type: 'string' },
    dir: { type: 'string' },
    json: { type: 'string' },
    report: { type: 'string' },
    from: { type: 'string' },
    phases: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

function usage(problem?: string): never {
  if (problem) console.error(`bench: ${problem}\n`);
  console.log(USAGE);
  process.exit(problem ? 2 : 0);
}

function chosenSize(): Size {
  const size = values.size ?? (values.quick ? 'quick' : 'full');
  if (size === 'full' || size === 'quick' || size === 'smallest') return size;
  return usage(`${size} is none of full, quick, smallest`);
}

function chosenRounds(): { rounds?: number } {
  if (values.rounds === undefined) return {};
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) usage('--rounds takes a number of at least 1');
  return { rounds };
}

async function measureAll(): Promise<Results> {
  const names = positionals.length === 0 ? Object.keys(SUITE) : positionals;
  const unknown = names.find((name) => !(name in SUITE));
  if (unknown) usage(`there is no ${unknown}`);
  const [size, rounds] = [chosenSize(), chosenRounds()];
  const results: Results = { machine: describeMachine(), size, benchmarks: [] };
  using host = openHost();
  for (const name of names) {
    const benchmark = await SUITE[name]?.();
    if (!benchmark) continue;
    const { title, about } = benchmark;
    console.error(`bench: ${name} …`);
    const begin = performance.now();
    const more = values.dir === undefined ? {} : { dir: values.dir };
    try {
      const outcome = await benchmark.run({ host, size, ...rounds, ...more });
      const seconds = (performance.now() - begin) / 1000;
      results.benchmarks.push({ name, title, about, seconds, ...outcome });
    } catch (error) {
      // The others may be told of all the same.
      console.error(`bench: ${name} failed:`, error);
      process.exitCode = 1;
    }
  }
  results.machine.ended = new Date().toISOString();
  results.machine.loadAtEnd = loadavg();
  return results;
}

if (values.help) usage();
if (values.phases) {
  const { rounds = 100 } = chosenRounds();
  using host = openHost();
  console.log(await printPhases(host, rounds));
} else {
  const results: Results = values.from
    ? (JSON.parse(readFileSync(values.from, 'utf8')) as Results)
    : await measureAll();
  if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  if (values.report) writeReport(values.report, results);
  console.log(tables(results));
}
