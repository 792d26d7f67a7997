/**
 * `npm run torture`: random pods, containers, execs, stops, removals, log writers and kills of the
 * server, held against a model of what must be true; docs/torture.md. Started by
 * scripts/torture.mjs, as root and apart from the host.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordsLeft, settledLeaks, snapshot } from './audit.ts';
import { cniFlags } from './cni-config.ts';
import { drivePlan } from './drive-pod.ts';
import { killFleet } from './fleet.ts';
import { makeActorLayout } from './image.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { randomPods } from './random-pods.ts';
import { Run } from './run.ts';
import { Server } from './server.ts';
import { summary } from './summary.ts';
import { Trace } from './trace.ts';
import { Violations } from './violations.ts';

const options = readOptions();
const dir = mkdtempSync(join(tmpdir(), 'coracle-torture-'));
const traceFile = options.trace ?? `${dir}.jsonl`;
const logFile = `${traceFile.replace(/\.jsonl$/, '')}.server.log`;
const trace = new Trace(traceFile, options, options.replay);
const violations = new Violations((what) => {
  trace.note({ violation: what });
  console.error(`VIOLATED: ${what}`);
});
const began = Date.now();
console.log(
  `torture: seed ${options.seed}${options.replay ? `, replaying ${options.replay}` : ''}`,
);
for (const name of ['logs', 'progress']) mkdirSync(join(dir, name));
const image = makeActorLayout(dir, join(dir, 'layout'));
const flags = ['--log-level', 'info', ...cniFlags(options.network, dir)];
const server = new Server(dir, logFile, flags, (what) => violations.fail(what), options.faults);
const run = new Run({ options, dir, image, server, trace, violations });
try {
  await Promise.race([torture(), violations.over()]);
} catch (error) {
  violations.fail(`the harness failed: ${error instanceof Error ? error.stack : error}`);
}
await server.end('SIGKILL');
server.close();
finish();

async function torture(): Promise<void> {
  const dirs = [server.root, server.state];
  const before = snapshot([], 0);
  server.spawn();
  if (!(await server.answering())) return;
  const imported = await run.rpc.call('importImage', { path: join(dir, 'layout') });
  if (imported.kind !== 'ok') throw new Error(`the image: ${JSON.stringify(imported)}`);
  await warmUp();
  const warm = snapshot(dirs, server.pid);
  if (options.kills > 0) await killFleet(run);
  else await randomPods(run);
  if (violations.fatal) return;
  const pods = await run.rpc.sure('listPodSandbox', {});
  const containers = await run.rpc.sure('listContainers', {});
  if (pods.kind !== 'ok' || pods.value.items.length > 0) run.violate('pods are left');
  if (containers.kind !== 'ok' || containers.value.containers.length > 0) {
    run.violate('containers are left');
  }
  for (const leak of await settledLeaks(warm, () => snapshot(dirs, server.pid))) run.violate(leak);
  await server.end('SIGTERM');
  const kept = { links: warm.links ?? [], rules: warm.rules ?? [], cgroups: warm.cgroups ?? [] };
  for (const leak of await settledLeaks({ ...before, ...kept }, () => snapshot([], 0))) {
    run.violate(`after the server, ${leak}`);
  }
  for (const record of await recordsLeft(server.root)) run.violate(record);
}

/** Makes what the first pod makes for all: the bridge, its rules, directories. */
async function warmUp(): Promise<void> {
  const plan = { name: 'warm', network: 'pod', pid: 'container', width: 2, depth: 1 } as const;
  await drivePlan(run, { ...plan, hostPort: 19_999 }, run.random('warm'));
}

function finish(): never {
  trace.close();
  const { found } = violations;
  console.log(summary(run, (Date.now() - began) / 60_000));
  if (found.length === 0) {
    rmSync(dir, { recursive: true, force: true });
    if (options.trace === undefined) for (const file of [traceFile, logFile]) rmSync(file);
    console.log('torture: nothing lost, nothing leaked');
    process.exit(0);
  }
  rmSync(join(dir, 'root'), { recursive: true, force: true });
  console.log(`torture: ${found.length} violations, seed ${options.seed}`);
  console.log(`torture: trace ${traceFile}, server ${logFile}, logs ${dir}`);
  console.log(`torture: npm run torture -- --replay ${traceFile}`);
  process.exit(1);
}

function readOptions(): Options {
  try {
    return parseOptions(process.argv.slice(2), Trace.optionsOf);
  } catch (error) {
    console.error(`torture: ${error instanceof Error ? error.message : error}\n${USAGE}`);
    process.exit(2);
  }
}
