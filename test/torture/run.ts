import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerModel, Model, type PodModel } from './model.ts';
import { Observer, type Reader } from './observer.ts';
import type { Options } from './options.ts';
import type { ContainerPlan } from './plan.ts';
import { makeProgress } from './progress.ts';
import { Random } from './random.ts';
import { Rpc } from './rpc.ts';
import type { Server } from './server.ts';
import type { Trace } from './trace.ts';
import type { Violations } from './violations.ts';

/** How long anything may take that must happen in the end, ms. */
const EVENTUALLY_MS = 45_000;

/** All that the parts of a run share. */
export class Run {
  readonly options: Options;
  readonly dir: string;
  readonly image: string;
  readonly server: Server;
  readonly rpc: Rpc;
  readonly trace: Trace;
  readonly model = new Model();
  readonly observer: Observer;
  readonly violations: Violations;
  /** What has been done and checked, for the summary. */
  readonly done = {
    pods: 0,
    containers: 0,
    ends: 0,
    execs: 0,
    reopens: 0,
    updates: 0,
    serverKills: 0,
    serverTerms: 0,
    monitorKills: 0,
    events: 0,
    logLines: 0,
    logBytes: 0,
  };
  /** No new pods are begun after it; ms of Date.now(). */
  until = Number.POSITIVE_INFINITY;

  constructor(given: Pick<Run, 'options' | 'dir' | 'image' | 'server' | 'trace' | 'violations'>) {
    this.options = given.options;
    this.dir = given.dir;
    this.image = given.image;
    this.server = given.server;
    this.trace = given.trace;
    this.violations = given.violations;
    const violate = (what: string) => this.violations.add(what);
    this.observer = new Observer(this.model, violate);
    this.rpc = new Rpc(given.server, given.options.faults, violate);
  }

  /** No new work: the time is over, or nothing can come right any more. */
  get over(): boolean {
    return Date.now() >= this.until || this.violations.fatal;
  }

  random(name: string): Random {
    return new Random(this.options.seed, name);
  }

  violate(what: string): void {
    this.violations.add(what);
  }

  container(key: string, pod: PodModel, plan: ContainerPlan): ContainerModel {
    const progress = join(this.dir, 'progress', key);
    makeProgress(progress);
    const files = { progress, log: join(pod.logDirectory, `${key}.log`) };
    const container = new ContainerModel(key, pod, plan, files, this.options.faults);
    this.model.add(container);
    return container;
  }

  /** Repeats `probe` until it answers; what never comes is a violation, and undefined. */
  async eventually<T>(
    what: string,
    probe: () => Promise<T | undefined> | T | undefined,
  ): Promise<T | undefined> {
    const end = Date.now() + EVENTUALLY_MS;
    for (let pause = 10; ; pause = Math.min(2 * pause, 250)) {
      const found = await probe();
      if (found !== undefined) return found;
      if (this.violations.fatal) return undefined;
      if (Date.now() > end) {
        this.violate(`not within ${EVENTUALLY_MS} ms: ${what}`);
        return undefined;
      }
      await sleep(pause);
    }
  }

  /**
   * A container's status as a server has it, seen by `reader`; undefined where there is none, or
   * no server answers before the run has failed.
   */
  async status(reader: Reader, container: ContainerModel) {
    const containerId = container.id ?? '';
    for (;;) {
      const asked = this.model.tick();
      const outcome = await this.rpc.sure('containerStatus', { containerId, verbose: true });
      if (outcome.kind === 'ok' && outcome.value.status) {
        reader.status(outcome.value.status, asked);
        return { status: outcome.value.status, info: outcome.value.info, asked };
      }
      if (outcome.kind === 'refused' && outcome.code !== 'UNAVAILABLE') {
        if (outcome.code === 'NOT_FOUND') reader.missing(container);
        else this.violate(`the status of ${container.key}: ${outcome.code} ${outcome.message}`);
        return undefined;
      }
    }
  }
}
