/** `npm run bench`: measures, prints a table, and writes JSON with `--json FILE`. */
import { writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { benchLaunch } from './launch.ts';
import { benchRpc } from './rpc.ts';
import { launchTable, rpcTable } from './table.ts';

const { values } = parseArgs({
  options: { json: { type: 'string' }, rounds: { type: 'string', default: '40' } },
});

const rounds = Number(values.rounds);
const launch = await benchLaunch(rounds);
const rpc = await benchRpc(rounds);
const processor = cpus()[0]?.model ?? '';
const machine = {
  kernel: release(),
  processor,
  processors: cpus().length,
  node: process.version,
};

console.log(`Linux ${machine.kernel}, ${machine.processors} × ${processor}, Node ${machine.node}`);
console.log(`\nOne container in an existing pod, /bin/true, ${rounds} interleaved rounds, ms:\n`);
console.log(launchTable(launch));
console.log(`\nRPCs at the client, embedded network, ${rounds} pods one after another, ms:\n`);
console.log(rpcTable(rpc));
if (values.json) await writeFile(values.json, JSON.stringify({ machine, launch, rpc }, null, 2));
