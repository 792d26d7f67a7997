import { join, resolve } from 'node:path';
import { CoracleError, messageOf, quote } from '../errors.ts';
import { openImages } from '../image/open-images.ts';
import { addon } from '../native/addon.ts';
import { closedDirectory } from '../store/closed-directory.ts';
import { openContainers } from '../store/containers.ts';
import { lockRoot, type RootLock } from '../store/lock.ts';
import { NameRegistry } from '../store/names.ts';
import { openStore } from '../store/open.ts';
import { openSandboxes } from '../store/sandboxes.ts';
import type { Store } from '../store/store.ts';
import { readCgroupLayout } from './cgroup/index.ts';
import { imagesOf } from './container-images.ts';
import type { Logger, RuntimeContext, RuntimeOptions } from './context.ts';
import { Creations } from './creations.ts';
import { settledWithin } from './deferred.ts';
import { diagnose } from './doctor.ts';
import { Embryos } from './embryos.ts';
import { EventBus } from './events.ts';
import { readHostFacts } from './host-facts.ts';
import { LaunchPhases } from './launch-phases.ts';
import { LiveContainers } from './live.ts';
import { makeDirectory } from './make-directory.ts';
import { Monitors } from './monitors.ts';
import { openNetwork } from './open-network.ts';
import { CONTAINERS } from './paths.ts';
import { recover } from './recover.ts';
import { SeccompCache } from './seccomp-cache.ts';
import { SpareMonitors } from './spare-monitors.ts';
import { openStats } from './stats/open-stats.ts';
import { Trash } from './trash.ts';

/** How long what is under way may go on when a runtime is closed, ms. */
const DRAIN_MS = 5_000;

export const defaultOptions: RuntimeOptions = {
  root: '/var/lib/coracle',
  state: '/run/coracle',
  cgroupDriver: 'cgroupfs',
  maxLogLine: 16 * 1024,
  execDrainTimeoutMs: 10_000,
  network: {
    bridge: 'coracle0',
    cniBinDirs: ['/opt/cni/bin', '/usr/lib/cni'],
    cniTimeoutMs: 60_000,
  },
  images: {
    registryConfigDirs: ['/etc/coracle/certs.d'],
    progressTimeoutMs: 300_000,
    maxDownloads: 3,
    pinned: [],
  },
};

/**
 * Opens a root directory: takes its lock, loads the stores, and recovers what still runs. A root
 * that another process has open is refused (FailedPrecondition, naming that process).
 */
export async function openRuntime(given: RuntimeOptions, log: Logger): Promise<RuntimeContext> {
  const options = { ...given, root: resolve(given.root), state: resolve(given.state) };
  await makeOwn('root', options.root);
  await makeOwn('state', options.state);
  const lock = await lockRoot(options.root);
  let store: Store | undefined;
  let ctx: RuntimeContext | undefined;
  try {
    await closedDirectory(join(options.root, CONTAINERS));
    store = await openStore(options.root, {
      onProblem: ({ table, key, outcome, error }) =>
        log.error({ err: error, table, key, outcome }, 'what was damaged has been set aside'),
    });
    ctx = await assemble(options, log, lock, store);
    await recover(ctx);
    ctx.ready = true;
    return ctx;
  } catch (error) {
    if (ctx) await closeRuntime(ctx, 0);
    else {
      await store?.close();
      await lock.release();
    }
    throw error;
  }
}

async function makeOwn(field: string, directory: string): Promise<void> {
  try {
    await makeDirectory(directory, 0o711);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = `${field}: ${quote(directory)} cannot be made: ${code ?? messageOf(error)}`;
    throw new CoracleError('FailedPrecondition', what, { cause: error });
  }
}

async function assemble(
  options: RuntimeOptions,
  log: Logger,
  lock: RootLock,
  store: Store,
): Promise<RuntimeContext> {
  const sandboxes = openSandboxes(store);
  const containers = openContainers(store);
  const sandboxNames = new NameRegistry('sandbox');
  const containerNames = new NameRegistry('container');
  const clashes = [
    ...sandboxNames.rebuild(sandboxes.list().map((each) => each.record)),
    ...containerNames.rebuild(containers.list().map((each) => each.record)),
  ];
  for (const { id, name } of clashes) log.error({ id, name }, 'two records have the same name');
  const images = await openImages({
    root: options.root,
    store,
    native: addon,
    ...options.images,
    usedLayers: containers.list().flatMap(({ record }) => record.layers),
    onProblem: (err) => log.warn({ err }, 'images: files are gone, or could not be removed yet'),
  });
  for (const { record } of containers.list()) {
    for (const imageId of imagesOf(record)) images.hold(imageId, record.id);
  }
  await images.recovered();
  const host = await diagnose(options);
  const cgroups = await readCgroupLayout();
  const facts = await readHostFacts(host, cgroups);
  const stats = await openStats(addon, cgroups);
  // Last: it watches files.
  const network = await openNetwork(options.network, { addon, store, log });
  return {
    options,
    log,
    addon,
    lock,
    store,
    sandboxes,
    containers,
    sandboxNames,
    containerNames,
    images,
    network,
    seccomp: new SeccompCache({ root: options.root, addon }),
    stats,
    cgroups,
    host,
    facts,
    events: new EventBus(),
    monitors: new Monitors(),
    spares: new SpareMonitors(),
    live: new LiveContainers(),
    launches: new LaunchPhases(),
    creations: new Creations(),
    embryos: new Embryos(),
    trash: await Trash.open(options.root, addon, log),
    draining: false,
    closing: false,
    ready: false,
  };
}

/**
 * Lets go of everything, and of everyone who waits; pods that are not attached go on.
 *
 * Nothing new begins from here on. What is under way may end for up to `drainMs` milliseconds; what
 * then has not is left as a crash would leave it, for the next recovery: no start fails because its
 * server ends.
 */
export async function closeRuntime(ctx: RuntimeContext, drainMs = DRAIN_MS): Promise<void> {
  ctx.draining = true;
  if (!(await settledWithin(underWay(ctx), drainMs))) {
    ctx.log.warn({ drainMs }, 'what is under way is left to the next start');
  }
  // Nobody here will start them; those that are left the next recovery ends.
  if (drainMs > 0) await settledWithin(ctx.embryos.dropAll(), drainMs);
  // Where there is no time, it ends when its connection does.
  await settledWithin(ctx.spares.close(ctx), drainMs);
  ctx.closing = true;
  ctx.monitors.closeAll();
  ctx.live.close();
  const closings = await Promise.allSettled([
    ctx.network.close(),
    ctx.images.close(),
    ctx.stats.layers.close(),
    ctx.trash.close(),
  ]);
  try {
    for (const each of closings) if (each.status === 'rejected') throw each.reason;
  } finally {
    await ctx.store.close();
    await ctx.lock.release();
  }
}

async function underWay(ctx: RuntimeContext): Promise<void> {
  const removals = ctx.sandboxes.list().map(({ removal }) => removal);
  await Promise.allSettled([ctx.creations.drained(), ctx.live.settled(), ...removals]);
}
