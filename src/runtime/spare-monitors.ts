import { mkdir, rm } from 'node:fs/promises';
import { failpoint } from '../failpoint.ts';
import type { SandboxSetup } from '../native/types.ts';
import { newId } from '../store/ids.ts';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { PodMonitor } from './monitors.ts';
import { exitDir, podDir } from './paths.ts';
import { monitorSpawn } from './start-monitor.ts';

/** How long one waits for its pod, ms, and how soon pods follow each other where one is made. */
const LIFE_MS = 10_000;
/** After what the pod's creator waits for, and what mostly comes with it, ms. */
const DELAY_MS = 5;
/** How long the end of one may take, ms. It has no process but itself. */
const END_MS = 1_000;

/** What a spare has prepared: the namespaces of a pod that asks for nothing special. */
const NAMESPACES = { net: true, ipc: true, uts: true };

type Namespaces = Pick<SandboxSetup, 'net' | 'ipc' | 'uts' | 'userNamespace'>;

/** A started monitor with namespaces, whose pod is not made yet; and the id that the pod will have. */
export interface Spare {
  readonly id: string;
  readonly monitor: PodMonitor;
}

/**
 * A monitor that is started ahead of its pod, while pods follow each other (decision 9).
 *
 * It is a guess that nobody waits for: a pod that it does not fit, or that comes while there is
 * none, has its monitor started as its own. Without a record, and with its connection for its only
 * owner, it ends by itself when this process does.
 */
export class SpareMonitors {
  #spare: Spare | undefined;
  #making: Promise<void> | undefined;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #lastPod = Number.NEGATIVE_INFINITY;

  /** The id for a pod with this setup: that of the spare, where it fits, or a new one. */
  nextId(setup: Namespaces): string {
    return (fits(setup) && this.#spare?.id) || newId();
  }

  /** Hands the monitor over that was started for the pod with this id, if one was. */
  take(id: string): PodMonitor | undefined {
    return this.#spare?.id === id ? this.#release()?.monitor : undefined;
  }

  /** Tells of a pod that has been made: where another like it came shortly before, more will. */
  podMade(ctx: RuntimeContext, setup: Namespaces): void {
    if (!fits(setup)) return;
    const before = this.#lastPod;
    this.#lastPod = performance.now();
    // The timer is that of the one that waits, or of one that is to be made.
    const enough = this.#timer || this.#making || this.#closed;
    if (enough || this.#lastPod - before > LIFE_MS) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#making = this.#make(ctx)
        .catch((error: unknown) => ctx.log.debug({ err: error }, 'no monitor was made ahead'))
        .finally(() => {
          this.#making = undefined;
        });
    }, DELAY_MS).unref();
  }

  /** The one that waits, if one does. */
  get waiting(): Spare | undefined {
    return this.#spare;
  }

  /** Ends the one that waits; none is made any more. */
  async close(ctx: RuntimeContext): Promise<void> {
    this.#closed = true;
    const spare = this.#release();
    if (spare) await end(ctx, spare.id, spare.monitor);
    await this.#making;
  }

  async #make(ctx: RuntimeContext): Promise<void> {
    const id = newId();
    let monitor: PodMonitor | undefined;
    try {
      await mkdir(exitDir(ctx.options, id), { recursive: true, mode: 0o700 });
      monitor = new PodMonitor(await ctx.addon.startMonitorAside(monitorSpawn(ctx, id)));
      await monitor.connection.prepare(NAMESPACES);
      await failpoint('spare.prepared');
      if (this.#closed) throw new Error('the runtime is being closed');
    } catch (error) {
      await end(ctx, id, monitor);
      throw error;
    }
    const spare = { id, monitor };
    this.#spare = spare;
    const drop = () => {
      if (this.#spare !== spare) return;
      this.#release();
      void end(ctx, id, monitor);
    };
    this.#timer = setTimeout(drop, LIFE_MS).unref();
    void monitor.closed.then(drop);
  }

  #release(): Spare | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return spare;
  }
}

/** A monitor's failpoints are armed at its start: those of now may be others than those of then. */
function fits({ net, ipc, uts, userNamespace }: Namespaces): boolean {
  const armed = process.env.CORACLE_MONITOR_FAILPOINTS !== undefined;
  return net && ipc && uts && !userNamespace && !armed;
}

/** One that does not end in time does so when it can: its connection is closed. */
async function end(ctx: RuntimeContext, id: string, monitor?: PodMonitor): Promise<void> {
  if (monitor) {
    const ended = monitor.connection.shutdown().catch(() => {});
    const gone = await settledWithin(Promise.all([ended, monitor.closed]), END_MS);
    monitor.close();
    // A recovery finds it by its directory.
    if (!gone) return;
  }
  await rm(podDir(ctx.options, id), { recursive: true, force: true });
}
