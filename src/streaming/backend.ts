import type { Duplex, Readable, Writable } from 'node:stream';

/** Which streams a client wants of a process. With `tty` there is no stderr of its own. */
export interface StreamChoice {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

export interface AttachRequest extends StreamChoice {
  containerId: string;
}

export interface ExecRequest extends AttachRequest {
  argv: string[];
}

export interface PortForwardRequest {
  sandboxId: string;
  /** The ports that clients may ask for; empty: any. */
  ports: number[];
}

/** The streams of a process as a client drives them. */
export interface ProcessStreams {
  /** Ending it is the end of file that the process reads. */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
  /** Sets the terminal's size; one that is less than 1 is ignored. */
  resize(rows: number, cols: number): Promise<void>;
  /** Resolves when the process has ended: 0–255, 128 + n for a death by signal n. */
  wait(): Promise<{ exitCode: number }>;
  /** Lets go of the process and of all streams. More than once without harm. */
  close(): Promise<void>;
}

/** What is streamed from and to. All calls may fail with CoracleErrors; clients read the message. */
export interface StreamBackend {
  /** Starts a command; `signal` gives it up while it is being started. */
  exec(request: ExecRequest, signal: AbortSignal): Promise<ProcessStreams>;
  attach(request: AttachRequest, signal: AbortSignal): Promise<ProcessStreams>;
  /** A TCP connection to a port inside of a pod, each direction of which can end by itself. */
  connect(sandboxId: string, port: number, signal: AbortSignal): Promise<Duplex>;
}

/** The part of pino's interface that is used here. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}
