import type { PreparedPlan } from '../native/types.ts';
import { pidMode } from '../spec/namespaces.ts';
import type { ContainerRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { holdRoot } from './held-root.ts';
import type { PodMonitor } from './monitors.ts';
import { type ContainerIo, logStdio } from './stdio.ts';
import { deleteEntry, Task } from './task.ts';

/** The most that wait at once; a container that is made then is launched by its start. */
const MOST = 64;
/** How long one waits for its start, ms: a kubelet's comes within milliseconds. */
const LIFE_MS = 30_000;
/** How long one that hangs, as in a file system, holds up who lets it go, ms. */
const HANG_MS = 5_000;
/** When a launch that goes on is asked to end again, ms; then after twice as long each time. */
const FIRST_RETRY_MS = 50;

interface Embryo {
  readonly monitor: PodMonitor;
  /** Where its streams go; undefined: to the log. */
  readonly io: ContainerIo | undefined;
  /** Never rejects: undefined where it could not be launched. */
  readonly launched: Promise<Task | undefined>;
  /** Once it is launched. */
  task?: Task;
  timer?: NodeJS.Timeout;
}

interface Ending {
  readonly over: Promise<void>;
  /** Resolves when it is over, or hangs: whoever comes later waits no longer than the first. */
  readonly waited: Promise<boolean>;
}

/**
 * Processes of created containers, launched ahead of their start and parked before `execve`.
 *
 * An embryo is a guess, and nobody waits for one or is told of it: a container whose embryo failed,
 * died or was let go of is launched as a whole by its start, which says what is wrong.
 */
export class Embryos {
  readonly #embryos = new Map<string, Embryo>();
  /** Those that are being let go of: their entries are in the monitor's way until they are gone. */
  readonly #endings = new Map<string, Ending>();

  get size(): number {
    return this.#embryos.size;
  }

  /** How many processes wait in a pod. */
  waiting(monitor: PodMonitor): number {
    return [...this.#embryos.values()].filter((each) => each.monitor === monitor && each.task)
      .length;
  }

  /** Whether one may be made for this container now. */
  accepts(id: string): boolean {
    return this.size < MOST && !this.#embryos.has(id) && !this.#endings.has(id);
  }

  /** Keeps the one that `launch` makes, until it is taken or let go of. */
  add(id: string, monitor: PodMonitor, launch: () => Promise<Task>, io?: ContainerIo): void {
    const died = monitor.armExit(id);
    const launched = launch().then(
      (task) => {
        embryo.task = task;
        return task;
      },
      () => {
        if (this.#embryos.get(id) === embryo) this.#release(id);
        monitor.disarm(id);
        return undefined;
      },
    );
    const embryo: Embryo = { monitor, launched, io };
    embryo.timer = setTimeout(() => void this.drop(id), LIFE_MS).unref();
    this.#embryos.set(id, embryo);
    void died.then(() => {
      if (this.#embryos.get(id) === embryo) void this.drop(id);
    });
  }

  /**
   * Hands a container's embryo over, once it is launched; undefined where there is none, or none
   * whose streams go there.
   */
  async take(id: string, io?: ContainerIo): Promise<Task | undefined> {
    if (this.#embryos.get(id)?.io !== io) await this.drop(id);
    for (let ending = this.#endings.get(id); ending; ending = this.#endings.get(id)) {
      await ending.over;
    }
    // In the same turn: whoever drops it now would not be waited for.
    return this.#release(id)?.launched;
  }

  /**
   * Ends a container's embryo and waits until it is gone. For one that hangs only so long: it is
   * ended when its launch is over.
   */
  async drop(id: string): Promise<void> {
    const embryo = this.#release(id);
    if (embryo) {
      const over = end(id, embryo)
        .catch(() => {})
        .then(() => void this.#endings.delete(id));
      this.#endings.set(id, { over, waited: settledWithin(over, HANG_MS) });
    }
    await this.#endings.get(id)?.waited;
  }

  async dropAll(): Promise<void> {
    const ids = [...this.#embryos.keys(), ...this.#endings.keys()];
    await Promise.all(ids.map((id) => this.drop(id)));
  }

  #release(id: string): Embryo | undefined {
    const embryo = this.#embryos.get(id);
    this.#embryos.delete(id);
    clearTimeout(embryo?.timer);
    return embryo;
  }
}

async function end(id: string, { monitor, launched, task }: Embryo): Promise<void> {
  // What its launch opens on the host comes before its entry, which may hang in turn.
  for (let pause = FIRST_RETRY_MS; !task; pause = Math.min(2 * pause, HANG_MS)) {
    await deleteEntry(monitor, id);
    if (await settledWithin(launched, pause)) break;
  }
  const made = task ?? (await launched);
  if (!made) return;
  // Its removal waits for its exit, which is not to wait for the disk.
  const letGo = holdRoot(made.pid);
  try {
    await made.delete();
  } finally {
    letGo();
    made.closePipes();
  }
}

/**
 * Has the process of a container that is being made launched ahead, while its record is written.
 * Only one with a PID namespace of its own: others would see it, and could stop it.
 */
export function makeEmbryo(
  ctx: RuntimeContext,
  record: ContainerRecord,
  plan: PreparedPlan,
  io?: ContainerIo,
): void {
  const { id, sandboxId, config } = record;
  if (ctx.draining || !ctx.embryos.accepts(id)) return;
  const sandbox = ctx.sandboxes.find(sandboxId);
  const monitor = ctx.monitors.find(sandboxId);
  if (sandbox?.state !== 'ready' || sandbox.stopping || !monitor?.embryos) return;
  if (pidMode(sandbox.record.config, config) !== 'new') return;
  const { parked: _, ...streams } = io ?? logStdio(ctx, record);
  const launch = () => Task.create(monitor, id, plan, { ...streams, embryo: true });
  ctx.embryos.add(id, monitor, launch, io);
}
