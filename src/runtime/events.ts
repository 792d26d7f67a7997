import { EventEmitter } from 'node:events';

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

/** Delivers events to listeners in this process; a listener that throws is logged, not heard of. */
export class EventBus {
  #sequence = 0;
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
  }

  /** Returns a function that ends the subscription. */
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
}

let last = 0n;

/** CLOCK_REALTIME in ns, to the millisecond and never the same twice: creation times order. */
export function now(): bigint {
  const time = BigInt(Date.now()) * 1_000_000n;
  last = time > last ? time : last + 1n;
  return last;
}
