/**
 * `npm run bench`: measures, prints tables, and writes JSON with `--json FILE`.
 *
 *     npm run bench -- [launch] [rpc] [unpack] [--rounds N] [--dir DIR]      default: launch and rpc
 */
import { writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { launchTable, rpcTable, unpackTable } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    rounds: { type: 'string' },
    dir: { type: 'string' },
  },
});

// Each is loaded when it is wanted: a suite has no use for what another one needs.
const SUITES = {
  launch: async (rounds = 40) => {
    const { benchLaunch } = await import('./launch.ts');
    const launch = await benchLaunch(rounds);
    console.log(
      `\nOne container in an existing pod, /bin/true, ${rounds} interleaved rounds, ms:\n`,
    );
    console.log(launchTable(launch));
    return launch;
  },
  rpc: async (rounds = 40) => {
    const { benchRpc } = await import('./rpc.ts');
    const rpc = await benchRpc(rounds);
    console.log(`\nRPCs at the client, embedded network, ${rounds} pods one after another, ms:\n`);
    console.log(rpcTable(rpc));
    return rpc;
  },
  unpack: async (rounds = 7) => {
    const { benchUnpack } = await import('./unpack.ts');
    const unpack = await benchUnpack(rounds, values.dir);
    console.log(`\nOne layer unpacked and synced, ${rounds} interleaved rounds:\n`);
    console.log(unpackTable(unpack));
    return unpack;
  },
};

const suites = positionals.length === 0 ? ['launch', 'rpc'] : positionals;
const processor = cpus()[0]?.model ?? '';
const machine = {
  kernel: release(),
  processor,
  processors: cpus().length,
  node: process.version,
};
console.log(`Linux ${machine.kernel}, ${machine.processors} × ${processor}, Node ${machine.node}`);
const results: Record<string, unknown> = { machine };
for (const name of suites) {
  const suite = SUITES[name as keyof typeof SUITES];
  if (suite === undefined) throw new Error(`${name} is none of ${Object.keys(SUITES).join(', ')}`);
  results[name] = await suite(values.rounds === undefined ? undefined : Number(values.rounds));
}
if (values.json) await writeFile(values.json, JSON.stringify(results, null, 2));
