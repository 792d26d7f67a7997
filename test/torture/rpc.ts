import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { CriClient } from '../../src/cri/client.ts';
import type { Server } from './server.ts';

/**
 * What became of a call: its answer; a refusal; `lost`, where the server died under it, so that it
 * may have happened or not; `gone`, where the client's own deadline passed.
 */
export type Outcome<T> =
  | { kind: 'ok'; value: T }
  | { kind: 'refused'; code: string; message: string }
  | { kind: 'lost' }
  | { kind: 'gone' };

type Unary = {
  [K in keyof CriClient]: CriClient[K] extends (...args: never[]) => Promise<unknown> ? K : never;
}[keyof CriClient];
type RequestOf<K extends Unary> = Parameters<CriClient[K]>[0];
type ResponseOf<K extends Unary> = Awaited<ReturnType<CriClient[K]>>;

/** The longest that any call may take, ms. */
const LONGEST_MS = 60_000;

/** Codes that no request of this run deserves: "INTERNAL" is a fault of the server's own. */
const OWN_FAULTS = new Set([status.INTERNAL, status.UNKNOWN, status.DATA_LOSS]);

export interface RpcCount {
  calls: number;
  slowest: number;
  /** By gRPC code, and `lost`. */
  failed: Record<string, number>;
}

/** Calls the server's present life, and counts. */
export class Rpc {
  readonly counts = new Map<string, RpcCount>();
  readonly #server: Server;
  readonly #violate: (what: string) => void;
  /** Where faults are injected, the server may well blame itself. */
  readonly #faults: boolean;

  constructor(server: Server, faults: boolean, violate: (what: string) => void) {
    this.#server = server;
    this.#faults = faults;
    this.#violate = violate;
  }

  /** One call, as soon as a server serves; `deadlineMs` makes this a client that goes away then. */
  async call<K extends Unary>(
    method: K,
    request: RequestOf<K>,
    deadlineMs?: number,
  ): Promise<Outcome<ResponseOf<K>>> {
    const client = await this.#server.client();
    const { life } = this.#server;
    const began = performance.now();
    const count = this.#count(method);
    count.calls += 1;
    try {
      const run = client[method] as (request: RequestOf<K>, call: object) => Promise<ResponseOf<K>>;
      const value = await run(request, { deadlineMs: deadlineMs ?? LONGEST_MS });
      return { kind: 'ok', value };
    } catch (error) {
      const outcome = await this.#failure(error, life, deadlineMs !== undefined);
      const name = outcome.kind === 'refused' ? outcome.code : outcome.kind;
      count.failed[name] = (count.failed[name] ?? 0) + 1;
      if (outcome.kind === 'refused') this.#judge(method, outcome);
      return outcome;
    } finally {
      count.slowest = Math.max(count.slowest, performance.now() - began);
    }
  }

  /** Repeats a call that may be repeated until a server has answered it. */
  async sure<K extends Unary>(method: K, request: RequestOf<K>): Promise<Outcome<ResponseOf<K>>> {
    for (;;) {
      const outcome = await this.call(method, request);
      if (outcome.kind !== 'lost') return outcome;
    }
  }

  async #failure(
    error: unknown,
    life: number,
    impatient: boolean,
  ): Promise<Exclude<Outcome<never>, { kind: 'ok' }>> {
    const { code, details } = error as { code?: number; details?: string };
    if (code === undefined) throw error;
    const dead = () => this.#server.life !== life || this.#server.expectsDeath;
    // The end of a process may be told later than that of its connection.
    if (code === status.UNAVAILABLE && !dead()) await sleep(200);
    if (dead()) return { kind: 'lost' };
    if (code === status.DEADLINE_EXCEEDED && impatient) return { kind: 'gone' };
    return { kind: 'refused', code: status[code] ?? `${code}`, message: details ?? '' };
  }

  #judge(method: string, { code, message }: { code: string; message: string }): void {
    const own = OWN_FAULTS.has(status[code as keyof typeof status]);
    const late = code === 'DEADLINE_EXCEEDED' && message.startsWith('Deadline exceeded');
    if ((own && !this.#faults) || late) this.#violate(`${method} answers ${code}: ${message}`);
  }

  #count(method: string): RpcCount {
    const found = this.counts.get(method) ?? { calls: 0, slowest: 0, failed: {} };
    this.counts.set(method, found);
    return found;
  }
}
