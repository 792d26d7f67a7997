/**
 * A runtime for tests to kill: loads everything, opens `<dir>/root` and `<dir>/state` at the first
 * message, then does what it is asked over IPC. Plain JavaScript, so that it also runs from dist/
 * with nothing to compile.
 *
 * Arguments: where the runtime's modules are, their file name's ending, the directory, the options
 * of the network as JSON.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [modules, ending, dir, network] = process.argv.slice(2);
const wanted = new Promise((resolve) => process.once('message', resolve));
// Whoever asks is gone: nobody will tell it to end.
process.on('disconnect', () => process.exit(0));

/** @param {string} name */
const load = (name) => import(`${modules}/${name}.${ending}`);

// One after the other: Node 20 sometimes fails to link modules that several imports want at once.
const failpoints = await load('failpoint');
const open = await load('runtime/open');
const cgroups = await load('runtime/cgroup/index');
const status = await load('store/container-status');
const run = await load('runtime/run-sandbox');
const create = await load('runtime/create-container');
const embryos = await load('runtime/embryos');
const start = await load('runtime/start');
const exec = await load('runtime/exec-sync');
const stop = await load('runtime/stop');
const remove = await load('runtime/remove');
const stopPod = await load('runtime/stop-sandbox');
const removePod = await load('runtime/remove-sandbox');
const update = await load('runtime/update-resources');

/** What the runtime has complained about. */
const complaints = [];
const complain = (fields, message) =>
  complaints.push(`${message} ${fields.id ?? ''} ${fields.err?.message ?? ''}`.trim());
const log = { debug() {}, info() {}, warn: complain, error: complain };

await wanted;
const ctx = await open.openRuntime(
  {
    ...open.defaultOptions,
    root: join(dir, 'root'),
    state: join(dir, 'state'),
    network: { ...open.defaultOptions.network, ...JSON.parse(network) },
  },
  log,
);

// Which requests come when is to be the same in each run. What a death leaves of a monitor that was
// started ahead has tests of its own (spare-monitors.test.ts).
await ctx.spares.close(ctx);

const requests = {
  arm: failpoints.armFailpoints,
  hits: () => failpoints.failpointHits(),
  /** What monitors that are started from now on are to fail at. */
  armMonitors(spec) {
    process.env.CORACLE_MONITOR_FAILPOINTS = spec;
  },
  runPod: (config) => run.runSandbox(ctx, config),
  create: (pod, config) => create.createContainer(ctx, pod, config),
  async embryo(id) {
    const { record } = ctx.containers.get(id);
    embryos.makeEmbryo(ctx, record);
    const monitor = ctx.monitors.find(record.sandboxId);
    // No other pod has one.
    while (ctx.embryos.size > ctx.embryos.waiting(monitor)) await sleep(1);
  },
  start: async (id) => (await start.startContainer(ctx, id)).pid,
  exec: async (id, argv) => {
    const { stdout, exitCode } = await exec.execSync(ctx, id, argv, { timeoutMs: 10_000 });
    return { stdout: stdout.toString(), exitCode };
  },
  exited: (id) => ctx.live.of(id).exited.promise,
  stop: (id, timeoutMs) => stop.stopContainer(ctx, id, timeoutMs),
  remove: (id) => remove.removeContainer(ctx, id),
  stopPod: (id) => stopPod.stopSandbox(ctx, id),
  removePod: (id) => removePod.removeSandbox(ctx, id),
  update: (id, resources) => update.updateContainerResources(ctx, id, { resources }),
  import: async (path) => {
    await ctx.images.import(path);
  },
  pull: async (name) => {
    await ctx.images.pull(name);
  },
  removeImage: (name) => ctx.images.remove(name),
  look,
};

/** What the runtime says there is, beside what the kernel says of it. */
async function look() {
  const held = [...ctx.store.table('addresses').entries()].map(([, record]) => record);
  return {
    pods: await Promise.all(ctx.sandboxes.list().map(lookAtPod)),
    containers: ctx.containers.list().map(lookAtContainer),
    images: ctx.images.list().map(({ id, repoTags }) => ({
      id,
      tags: repoTags,
      layers: ctx.images.layersOf(id),
    })),
    addresses: held.filter(({ kind }) => kind === 'held').map(({ sandboxId }) => sandboxId),
    attachments: [...ctx.store.table('cni').entries()].map(([id]) => id),
    diskUsage: ctx.images.fsInfo(),
    problems: ctx.store.problems.map(({ table, key }) => `${table}/${key}`),
    dirty: ctx.containers.dirty + ctx.sandboxes.dirty,
    complaints,
  };
}

async function lookAtPod(sandbox) {
  const { id, name, monitorPid = 0, network, config } = sandbox.record;
  const monitor = ctx.monitors.find(id);
  return {
    id,
    name,
    state: sandbox.state,
    monitorPid,
    ips: network?.ips ?? [],
    networked: config.namespaces?.network === 'pod',
    // One that dies at this moment has none to show.
    entries: await monitor?.connection.state().catch(() => undefined),
  };
}

function lookAtContainer({ record, status: cell }) {
  const { pid, exitCode, reason, updating, resources } = cell.get();
  const dirs = cgroups.cgroupDirs(ctx.cgroups, record.cgroupPath);
  return {
    id: record.id,
    name: record.name,
    podId: record.sandboxId,
    state: status.stateOf(cell.get()),
    pid,
    exitCode,
    reason,
    updating: updating !== undefined,
    memoryLimit: (resources ?? record.config.resources)?.memoryLimit,
    kernelMemoryLimit: Number(first(dirs, ['memory.limit_in_bytes', 'memory.max']) || Number.NaN),
    processes: [...new Set(dirs.flatMap((at) => numbers(first([at], ['cgroup.procs']))))],
  };
}

function first(dirs, names) {
  for (const at of dirs) {
    for (const name of names) {
      try {
        return readFileSync(join(at, name), 'utf8').trim();
      } catch {
        // It is another controller's directory, or none any more.
      }
    }
  }
  return '';
}

const numbers = (text) => text.split('\n').filter(Boolean).map(Number);

process.on('message', async ({ sequence, name, args }) => {
  try {
    process.send({ sequence, value: await requests[name](...args) });
  } catch (error) {
    process.send({ sequence, error: { message: error.message, kind: error.kind } });
  }
});
process.send({ sequence: 0 });
