import type { Readable, Writable } from 'node:stream';

/** Which streams a client wants of a process. */
export interface StreamRequest {
  stdin: boolean;
  stdout: boolean;
  /** False with `tty`: a terminal has one output. */
  stderr: boolean;
  tty: boolean;
}

export interface ExecStreamRequest extends StreamRequest {
  argv: string[];
}

/**
 * The streams of a process as a client drives them. Ending `stdin` is the end of file that the
 * process reads. An output ends (or is destroyed with an error) where the process' own does. The
 * holder destroys all three, or calls `close`.
 */
export interface ProcessStreams {
  /** Undefined where it was not asked for, or the process has none. With a terminal: its input. */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
  /** Sets the terminal's size; one that is less than 1 is ignored (XS-10). */
  resize(rows: number, cols: number): Promise<void>;
  /**
   * How it ended. An exec: its own exit. An attach: the container's, or code 0 once `close` has
   * detached from one that goes on. 0–255; 128 + n for a death by signal n.
   */
  wait(): Promise<{ exitCode: number }>;
  /**
   * Lets go, more than once without harm. An exec's process is killed if it still runs: nobody can
   * come back to it. An attach only detaches: the container goes on.
   */
  close(): Promise<void>;
}

export { openAttach } from './attach.ts';
export { openExecStreams } from './exec-stream.ts';
export { openPortForward } from './port-forward.ts';
