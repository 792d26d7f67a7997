/** What must be true of each pod and container, from what was asked and what was answered. */
import { type ContainerPlan, codeOfTerm, type PodPlan } from './plan.ts';
import { type Progress, readProgress } from './progress.ts';

export class PodModel {
  readonly plan: PodPlan;
  readonly logDirectory: string;
  id: string | undefined;
  /** Set before it is asked for, never taken back: what may have happened from then on. */
  endAsked = false;
  monitorKilled = false;
  readonly containers: ContainerModel[] = [];

  constructor(plan: PodPlan, logDirectory: string) {
    this.plan = plan;
    this.logDirectory = logDirectory;
  }

  /** Nothing in it need succeed any more. */
  get failing(): boolean {
    return this.endAsked || this.monitorKilled;
  }
}

/** An end as it was first seen; it never changes. */
export interface SeenEnd {
  exitCode: number;
  finishedAt: bigint;
  reason: string;
}

export class ContainerModel {
  readonly key: string;
  readonly pod: PodModel;
  readonly plan: ContainerPlan;
  readonly progressFile: string;
  readonly logFile: string;
  /** The server has faults injected, over which a start may fail. */
  readonly faults: boolean;
  /** As a client was told. */
  id: string | undefined;
  /** A creation was lost: it may be there although nobody was told of it. */
  doubtful = false;
  /** What was asked for, set before the request, and what was answered, by the model's clock. */
  startAsked = false;
  startedAt = Number.POSITIVE_INFINITY;
  /** SIGTERM by a stop; SIGKILL by a stop, a removal or the end of the pod. */
  termAsked = false;
  killAsked = false;
  /** SIGUSR1 from us: end as you would. */
  finishAsked = false;
  endedAt = Number.POSITIVE_INFINITY;
  removeAsked = false;
  removedAt = Number.POSITIVE_INFINITY;
  seenEnd: SeenEnd | undefined;
  seenStart: bigint | undefined;
  seenPid: number | undefined;

  constructor(
    key: string,
    pod: PodModel,
    plan: ContainerPlan,
    files: { progress: string; log: string },
    faults = false,
  ) {
    this.faults = faults;
    this.key = key;
    this.pod = pod;
    this.plan = plan;
    this.progressFile = files.progress;
    this.logFile = files.log;
  }

  progress(): Progress {
    return readProgress(this.progressFile);
  }

  /** What is wrong with an end as it is reported, if anything is. */
  judgeEnd({ exitCode, reason }: SeenEnd): string | undefined {
    const { plan, pod } = this;
    const progress = this.progress();
    if (progress.ended !== 0) {
      const code = progress.ended - 256;
      if (exitCode === code) return this.#judgeOwn(code);
      // Between its last word and its last system call it may be killed.
    }
    if (reason === 'StartError') {
      const may = pod.failing || this.faults;
      return exitCode === 128 && may ? undefined : `a start error, ${exitCode}`;
    }
    const allowed = new Set<number>();
    if (this.killAsked || pod.failing) allowed.add(137);
    if (this.termAsked) allowed.add(codeOfTerm(plan, pod.plan.pid) ?? 137);
    if (pod.monitorKilled) allowed.add(255);
    if (allowed.has(exitCode)) return undefined;
    const may = [...allowed].join(', ') || 'nothing, being left alone';
    return `exit code ${exitCode} (${reason}), where its own is ${progress.ended - 256} of ${plan.end.kind}:${plan.end.number}, others ${may}`;
  }

  /** The code that its program says that it ended with, checked against what was asked of it. */
  #judgeOwn(code: number): string | undefined {
    const { end, lines } = this.plan;
    const own = end.kind === 'signal' || end.kind === 'fault' ? 128 + end.number : end.number;
    if (code === own && (this.finishAsked || (lines > 0 && end.kind !== 'pause'))) return undefined;
    if (this.termAsked && code === codeOfTerm(this.plan, 'container')) return undefined;
    return `its program ended with ${code} unasked`;
  }
}

/** All pods and containers of a run, by what they were named and by what they are called. */
export class Model {
  readonly pods = new Map<string, PodModel>();
  readonly containers = new Map<string, ContainerModel>();
  readonly #byId = new Map<string, ContainerModel>();
  #clock = 0;

  /** Orders what is asked and answered within this process. */
  tick(): number {
    this.#clock += 1;
    return this.#clock;
  }

  add(container: ContainerModel): void {
    this.containers.set(container.key, container);
    container.pod.containers.push(container);
  }

  named(container: ContainerModel, id: string): void {
    container.id = id;
    this.#byId.set(id, container);
  }

  byId(id: string): ContainerModel | undefined {
    return this.#byId.get(id);
  }
}
