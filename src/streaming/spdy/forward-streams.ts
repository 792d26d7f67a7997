import { messageOf } from '../../errors.ts';
import { flush } from '../flush.ts';
import type { MuxStream } from '../mux-stream.ts';
import { parsePort } from '../port-forward.ts';
import { STREAMS_MS } from './command-streams.ts';
import type { Headers } from './header-block.ts';

/** The two streams of one forwarded connection. */
export interface ForwardPair {
  readonly port: number;
  readonly data: MuxStream;
  readonly error: MuxStream;
}

const LONELY = 'the data stream of this connection was not opened in time';

interface Half {
  readonly type: string;
  readonly stream: MuxStream;
  readonly port: string;
  readonly timer: NodeJS.Timeout;
}

/**
 * Puts the streams of a port-forward together: each connection has a data and an error stream with
 * the same "requestid" header and the same "port".
 */
export class ForwardStreams {
  readonly #halves = new Map<string, Half>();
  readonly #onPair: (pair: ForwardPair) => void;
  readonly #waitMs: number;

  /** A stream whose counterpart does not come within `waitMs` is reset. */
  constructor(onPair: (pair: ForwardPair) => void, waitMs: number = STREAMS_MS) {
    this.#onPair = onPair;
    this.#waitMs = waitMs;
  }

  accept(headers: Headers, id: number): ((stream: MuxStream) => void) | undefined {
    const type = headers.get('streamtype');
    const port = headers.get('port');
    if ((type !== 'data' && type !== 'error') || port === undefined) return undefined;
    // Clients without request ids open the error stream and then, as the next one, its data stream.
    const request = headers.get('requestid') ?? `#${type === 'data' ? id - 2 : id}`;
    const half = this.#halves.get(request);
    if (half && (half.type === type || half.port !== port)) return undefined;
    return (stream) => {
      stream.on('error', () => {});
      if (type === 'error') stream.resume();
      if (half) this.#pair(request, half, { type, stream });
      else this.#halves.set(request, this.#half(request, type, stream, port));
    };
  }

  #half(request: string, type: string, stream: MuxStream, port: string): Half {
    const timer = setTimeout(() => {
      this.#halves.delete(request);
      refuse([stream], type === 'error' ? stream : undefined, LONELY);
    }, this.#waitMs);
    stream.once('close', () => {
      clearTimeout(timer);
      if (this.#halves.get(request)?.stream === stream) this.#halves.delete(request);
    });
    return { type, stream, port, timer };
  }

  #pair(request: string, half: Half, other: { type: string; stream: MuxStream }): void {
    clearTimeout(half.timer);
    this.#halves.delete(request);
    const [data, error] =
      half.type === 'data' ? [half.stream, other.stream] : [other.stream, half.stream];
    try {
      this.#onPair({ port: parsePort(half.port), data, error });
    } catch (failure) {
      refuse([data, error], error, messageOf(failure));
    }
  }
}

function refuse(streams: MuxStream[], error: MuxStream | undefined, message: string): void {
  const told = error ? flush(error, message) : Promise.resolve();
  void told.then(() => {
    for (const stream of streams) stream.destroy();
  });
}
