/** `npm run bench`: measures, prints a table, and writes JSON with `--json FILE`. */
import { writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { benchLaunch } from './launch.ts';
import { launchTable } from './table.ts';

const { values } = parseArgs({
  options: { json: { type: 'string' }, rounds: { type: 'string', default: '40' } },
});

const rounds = Number(values.rounds);
const launch = await benchLaunch(rounds);
const machine = {
  kernel: release(),
  cpu: cpus()[0]?.model ?? '',
  cores: cpus().length,
  node: process.version,
};

console.log(`Linux ${machine.kernel}, ${machine.cores} × ${machine.cpu}, Node ${machine.node}`);
console.log(`\nOne container in an existing pod, /bin/true, ${rounds} interleaved rounds, ms:\n`);
console.log(launchTable(launch));
if (values.json) await writeFile(values.json, JSON.stringify({ machine, launch }, null, 2));
