import { EventEmitter } from 'node:events';
import type { Sandbox } from '../store/sandboxes.ts';

export type ContainerEventType = 'created' | 'started' | 'stopped' | 'deleted';

/** Something that happened to a container, announced only after the status says so (ST-19, EX-12). */
export interface ContainerEvent {
  /** 1, 2, 3 … within one runtime: a gap means that an event was missed. */
  readonly sequence: number;
  readonly type: ContainerEventType;
  readonly containerId: string;
  readonly sandboxId: string;
  /** CLOCK_REALTIME, ns. */
  readonly at: bigint;
}

/** The same for a pod: made and ready, no longer ready, removed. */
export interface PodEvent {
  readonly type: ContainerEventType;
  /** Also of a pod that is no more: as it was last. */
  readonly sandbox: Sandbox;
  /** CLOCK_REALTIME, ns. */
  readonly at: bigint;
}

/** Someone who follows all that happens. Both are called at once, in order, and must not wait. */
export interface Follower {
  event(event: ContainerEvent | PodEvent): void;
  /** Nothing more will come: the runtime is being closed. */
  closed(): void;
}

/** How much is kept while nobody follows, and for how long, ms. */
const BACKLOG = 1000;
const BACKLOG_MS = 300_000;

/**
 * Delivers events inside this process, in the turn in which they happen. What happens while nobody
 * follows, as during the recovery, is kept for a while and told to the next follower first.
 */
export class EventBus {
  #sequence = 0;
  #backlog: (ContainerEvent | PodEvent)[] = [];
  #closed = false;
  readonly #followers = new Set<Follower>();
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  emit(type: ContainerEventType, containerId: string, sandboxId: string): void {
    this.#sequence += 1;
    const event: ContainerEvent = Object.freeze({
      sequence: this.#sequence,
      type,
      containerId,
      sandboxId,
      at: now(),
    });
    this.#emitter.emit('event', event);
    this.#tell(event);
  }

  emitPod(type: ContainerEventType, sandbox: Sandbox): void {
    this.#tell(Object.freeze({ type, sandbox, at: now() }));
  }

  /**
   * Calls back for each event of a container; one that throws is logged, not heard of. Returns a
   * function that ends the subscription.
   */
  subscribe(listener: (event: ContainerEvent) => void): () => void {
    const guarded = (event: ContainerEvent) => {
      try {
        listener(event);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    };
    this.#emitter.on('event', guarded);
    return () => this.#emitter.off('event', guarded);
  }

  /** Tells of containers and pods, and of the backlog. Returns a function that ends it. */
  follow(follower: Follower): () => void {
    if (this.#closed) {
      follower.closed();
      return () => {};
    }
    const since = now() - BigInt(BACKLOG_MS) * 1_000_000n;
    for (const event of this.#backlog) if (event.at >= since) follower.event(event);
    this.#backlog = [];
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Lets go of the followers, who would otherwise keep a server from ending. */
  close(): void {
    this.#closed = true;
    for (const follower of this.#followers) follower.closed();
    this.#followers.clear();
  }

  #tell(event: ContainerEvent | PodEvent): void {
    for (const follower of this.#followers) follower.event(event);
    if (this.#followers.size > 0) return;
    this.#backlog.push(event);
    if (this.#backlog.length > BACKLOG) this.#backlog.shift();
  }
}

let last = 0n;

/** CLOCK_REALTIME in ns, to the millisecond and never the same twice: creation times order. */
export function now(): bigint {
  const time = BigInt(Date.now()) * 1_000_000n;
  last = time > last ? time : last + 1n;
  return last;
}
