/** Holds what readers see against the model, and against what they have seen before. */
import { readFileSync } from 'node:fs';
import { type Container, ContainerState, type ContainerStatus } from '../../src/cri/gen/cri.ts';
import type { ContainerModel, Model } from './model.ts';

const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;

/** As far as a container has come; it never goes back. */
const GONE = 3;
const RANKS = new Map([
  [CONTAINER_CREATED, 0],
  [CONTAINER_RUNNING, 1],
  [CONTAINER_EXITED, 2],
]);

export class Observer {
  readonly #model: Model;
  readonly #violate: (what: string) => void;

  constructor(model: Model, violate: (what: string) => void) {
    this.#model = model;
    this.#violate = violate;
  }

  reader(name: string): Reader {
    return new Reader(name, this.#model, this.#violate);
  }
}

/** One who reads one thing after another. */
export class Reader {
  readonly #name: string;
  readonly #model: Model;
  readonly #violate: (what: string) => void;
  readonly #ranks = new Map<string, number>();

  constructor(name: string, model: Model, violate: (what: string) => void) {
    this.#name = name;
    this.#model = model;
    this.#violate = violate;
  }

  /** A list of all containers that was asked for when the model's clock stood at `asked`. */
  listed(containers: readonly Container[], asked: number): void {
    const found = new Set<string>();
    for (const { id, state, labels } of containers) {
      found.add(id);
      const container = this.#model.containers.get(labels.torture ?? '');
      if (!container) this.#violate(`${id} is listed, and nobody asked for it`);
      else this.#state(container, id, state, asked);
    }
    for (const id of this.#ranks.keys()) {
      if (found.has(id)) continue;
      this.#ranks.set(id, GONE);
      const container = this.#model.byId(id);
      if (container && container.id === id) this.#missing(container);
    }
  }

  /** That there is no such container. */
  missing(container: ContainerModel): void {
    if (container.id !== undefined) this.#ranks.set(container.id, GONE);
    this.#missing(container);
  }

  status(status: ContainerStatus, asked: number): ContainerModel | undefined {
    const container = this.#model.containers.get(status.labels.torture ?? '');
    if (!container) {
      this.#violate(`${status.id} has a status, and nobody asked for it`);
      return undefined;
    }
    this.#state(container, status.id, status.state, asked);
    if (status.id === container.id) this.#times(container, status);
    return container;
  }

  /** A process id, as a status told it: the process is the container's, and stays the same. */
  running(container: ContainerModel, pid: number): string | undefined {
    const before = container.seenPid;
    container.seenPid = pid;
    if (before !== undefined && before !== pid) return `has pid ${pid}, and had ${before}`;
    let command: string;
    try {
      command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      return `has pid ${pid}, which is no process`;
    }
    const own = command.split('\0').includes(container.key);
    return own ? undefined : `has pid ${pid}, which is ${JSON.stringify(command.slice(0, 60))}`;
  }

  #missing(container: ContainerModel): void {
    if (!container.removeAsked && !container.pod.endAsked) {
      this.#fault(container, 'is gone, and nobody removed it');
    }
  }

  #fault(container: ContainerModel, what: string): void {
    this.#violate(`${container.key} (${container.id ?? 'no id'}) ${what}, says ${this.#name}`);
  }

  #state(container: ContainerModel, id: string, state: ContainerState, asked: number): void {
    const rank = RANKS.get(state);
    const name = ContainerState[state];
    if (rank === undefined) {
      this.#fault(container, `is ${name}`);
      return;
    }
    const before = this.#ranks.get(id) ?? 0;
    if (rank < before) {
      const from = before === GONE ? 'gone' : ContainerState[before as ContainerState];
      this.#fault(container, `is ${name} after it was ${from}`);
    }
    this.#ranks.set(id, rank);
    if (rank > 0 && !container.startAsked) this.#fault(container, `is ${name}, never started`);
    if (id !== container.id) {
      // Nobody was told of it (yet).
      if (container.id !== undefined && rank > 0) {
        this.#fault(container, `has a twin ${id} that is ${name}`);
      }
      return;
    }
    if (rank === 0 && container.startedAt < asked)
      this.#fault(container, 'is CREATED when started');
    if (rank < 2 && container.endedAt < asked) this.#fault(container, `is ${name} when ended`);
    if (container.removedAt < asked) this.#fault(container, `is ${name} when removed`);
  }

  #times(container: ContainerModel, status: ContainerStatus): void {
    const { state, startedAt, finishedAt, createdAt, exitCode, reason } = status;
    if (state !== CONTAINER_CREATED && reason !== 'StartError') {
      if (startedAt < createdAt) this.#fault(container, `started ${startedAt} < ${createdAt}`);
      const seen = container.seenStart ?? startedAt;
      if (seen !== startedAt) this.#fault(container, `started ${startedAt}, and before ${seen}`);
      container.seenStart = seen;
    }
    if (state !== CONTAINER_EXITED) return;
    if (finishedAt < startedAt || finishedAt === 0n) {
      this.#fault(container, `finished ${finishedAt} < ${startedAt}`);
    }
    const seen = container.seenEnd;
    if (!seen) {
      container.seenEnd = { exitCode, finishedAt, reason };
      const wrong = container.judgeEnd(container.seenEnd);
      if (wrong !== undefined) this.#fault(container, `ended wrongly: ${wrong}`);
    } else if (seen.exitCode !== exitCode || seen.finishedAt !== finishedAt) {
      const was = `${seen.exitCode} at ${seen.finishedAt}`;
      this.#fault(container, `ended with ${exitCode} at ${finishedAt}, and before with ${was}`);
    }
  }
}
