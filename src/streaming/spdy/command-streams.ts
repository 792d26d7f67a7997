import type { StreamChoice } from '../backend.ts';
import { type CommandVersion, hasResize } from '../command-status.ts';
import { flush } from '../flush.ts';
import type { MuxStream } from '../mux-stream.ts';
import type { CommandChannels } from '../remote-command.ts';
import type { Headers } from './header-block.ts';

/** How long a client may take to open its streams, ms. */
export const STREAMS_MS = 30_000;

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

/** Collects the streams of an exec or attach, which arrive one by one, told by a header. */
export class CommandStreams {
  readonly #missing: Set<string>;
  readonly #streams = new Map<string, MuxStream>();
  #complete!: () => void;
  readonly #completed = new Promise<void>((resolve) => {
    this.#complete = resolve;
  });

  constructor(choice: StreamChoice, version: CommandVersion) {
    const types: StreamType[] = ['error'];
    if (choice.stdin) types.push('stdin');
    if (choice.stdout) types.push('stdout');
    if (choice.stderr) types.push('stderr');
    if (choice.tty && hasResize(version)) types.push('resize');
    this.#missing = new Set(types);
  }

  /** Takes each stream that the request asked for once, and no other. */
  accept(headers: Headers): ((stream: MuxStream) => void) | undefined {
    const type = headers.get('streamtype') ?? '';
    if (!this.#missing.has(type)) return undefined;
    this.#missing.delete(type);
    return (stream) => {
      stream.on('error', () => {});
      this.#streams.set(type, stream);
      // Clients have nothing to say on these; what they say nevertheless must not hold them up.
      if (type !== 'stdin' && type !== 'resize') stream.resume();
      if (this.#missing.size === 0) this.#complete();
    };
  }

  /** All streams, or undefined when the client does not open them in time or is gone. */
  async wait(closed: Promise<void>, ms: number = STREAMS_MS): Promise<CommandChannels | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([this.#completed, late, closed]);
    clearTimeout(timer);
    const error = this.#streams.get('error');
    if (!error) return undefined;
    if (this.#missing.size > 0) {
      await Promise.race([flush(error, this.#complaint()), closed]);
      return undefined;
    }
    const { stdin, stdout, stderr, resize } = Object.fromEntries(this.#streams);
    return { error, stdin, stdout, stderr, resize };
  }

  #complaint(): string {
    return `these streams were not opened in time: ${[...this.#missing].join(', ')}`;
  }
}
