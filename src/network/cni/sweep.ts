import type { Attachments } from './attachments.ts';
import type { NetworkConf } from './conf.ts';
import type { PluginHost } from './exec.ts';
import { gcNetwork } from './gc.ts';
import type { CniLog } from './log.ts';
import type { NetnsPins } from './netns-pin.ts';
import type { CniVersion } from './version.ts';

export interface CurrentNetwork {
  readonly network: NetworkConf;
  readonly version: CniVersion;
}

export interface SweepContext {
  readonly host: PluginHost;
  readonly attachments: Attachments;
  readonly pins: NetnsPins;
  readonly log: CniLog;
  readonly ifName: string;
  detach(sandboxId: string): Promise<void>;
  /** Runs a job while no ADD and no DEL does. */
  alone<T>(job: () => Promise<T>): Promise<T>;
  /** What new pods would be attached to; rejects where a plugin of it is unfit. */
  current(): Promise<CurrentNetwork | undefined>;
  /** Whether the store may be gone. */
  closed(): boolean;
}

/** Few, so that pods that are made meanwhile need not wait for hundreds of dead ones. */
const DETACH_AT_ONCE = 4;

/**
 * After a restart: DEL for whoever is not among the living, then GC, then pins that nobody knows.
 * Never rejects.
 */
export async function sweep(context: SweepContext, live: readonly string[]): Promise<void> {
  const { attachments, pins, log } = context;
  const living = new Set(live);
  const dead = attachments.all().filter(({ sandboxId }) => !living.has(sandboxId));
  await Promise.all(Array.from({ length: DETACH_AT_ONCE }, () => detachAll(context, dead)));
  if (context.closed()) return;
  try {
    const current = await context.current();
    if (current) await context.alone(() => collect(context, living, current));
    const known = new Set([...living, ...attachments.all().map((each) => each.sandboxId)]);
    const removed = await pins.removeStale(known);
    if (removed.length > 0) log.warn({ paths: removed }, 'stale network namespaces were unpinned');
  } catch (error) {
    log.error({ err: error }, 'what dead pods have left could not be collected');
  }
}

/** Takes from the list what the others have not taken yet. */
async function detachAll(context: SweepContext, dead: { sandboxId: string }[]): Promise<void> {
  for (let next = dead.shift(); next && !context.closed(); next = dead.shift()) {
    const { sandboxId } = next;
    try {
      await context.detach(sandboxId);
      context.log.info({ id: sandboxId }, 'a pod that is gone was detached');
    } catch (error) {
      context.log.error({ id: sandboxId, err: error }, 'a pod that is gone could not be detached');
    }
  }
}

/** An attachment whose DEL is still due is valid, too: GC is no substitute for DEL. */
async function collect(
  { host, attachments, log, ifName }: SweepContext,
  living: ReadonlySet<string>,
  { network, version }: CurrentNetwork,
): Promise<void> {
  const recorded = attachments.all();
  const names = new Map([...living].map((id) => [id, ifName]));
  for (const each of recorded) names.set(each.sandboxId, each.ifName);
  const valid = [...names].map(([containerID, ifname]) => ({ containerID, ifname }));
  for (const failure of await gcNetwork(host, network, version, valid)) {
    log.error({ err: failure }, 'a CNI plugin failed to collect garbage');
  }
}
