import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { CoracleError } from '../../src/errors.ts';
import type {
  AttachRequest,
  ExecRequest,
  ProcessStreams,
  StreamBackend,
} from '../../src/streaming/backend.ts';

/** Streams from and to processes and ports of this host, and remembers what is in use. */
export class HostBackend implements StreamBackend {
  /** Processes and connections that have not been let go of. */
  open = 0;
  readonly resizes: [rows: number, cols: number][] = [];
  readonly requests: (ExecRequest | AttachRequest)[] = [];
  readonly connected: [sandboxId: string, port: number][] = [];

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ProcessStreams> {
    this.requests.push(request);
    const [command = '', ...rest] = request.argv;
    if (command === 'missing') throw new CoracleError('FailedPrecondition', 'exec: no such file');
    if (command === 'hang') await new Promise((_, reject) => onAbort(signal, reject));
    const child = spawn(command, rest, { stdio: 'pipe', detached: true });
    return this.#streams(child, request);
  }

  async attach(request: AttachRequest, _signal: AbortSignal): Promise<ProcessStreams> {
    this.requests.push(request);
    return this.#streams(spawn('cat', { stdio: 'pipe', detached: true }), request);
  }

  async connect(sandboxId: string, port: number, _signal: AbortSignal): Promise<Duplex> {
    this.connected.push([sandboxId, port]);
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    this.open += 1;
    socket.once('close', () => {
      this.open -= 1;
    });
    return socket;
  }

  #streams(child: ChildProcess, { stdin, stdout, stderr }: AttachRequest): ProcessStreams {
    this.open += 1;
    let closed = false;
    if (!stdin) child.stdin?.end();
    const ended = once(child, 'exit') as Promise<[number | null]>;
    return {
      stdin: stdin ? (child.stdin ?? undefined) : undefined,
      stdout: stdout ? (child.stdout ?? undefined) : undefined,
      stderr: stderr ? (child.stderr ?? undefined) : undefined,
      resize: async (rows, cols) => {
        this.resizes.push([rows, cols]);
      },
      wait: async () => ({ exitCode: (await ended)[0] ?? 137 }),
      close: async () => {
        if (closed) return;
        closed = true;
        if (child.exitCode === null) child.kill('SIGKILL');
        for (const each of [child.stdin, child.stdout, child.stderr]) each?.destroy();
        await ended;
        this.open -= 1;
      },
    };
  }
}

function onAbort(signal: AbortSignal, reject: (reason: unknown) => void): void {
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
}
