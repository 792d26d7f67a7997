import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { StdioSpec } from '../native/types.ts';
import type { RuntimeContext } from './context.ts';
import { endExec } from './end-exec.ts';
import { type ExecProcess, openExec } from './exec.ts';
import { ProcessInput } from './process-input.ts';
import { ProcessOutput } from './process-output.ts';
import type { ExecStreamRequest, ProcessStreams, StreamRequest } from './streams.ts';
import { Terminal } from './terminal.ts';
import { isSize } from './terminal-size.ts';

const NULL: StdioSpec = { type: 'null' };
const PIPE: StdioSpec = { type: 'pipe' };

/**
 * Starts a command in a running container (XS-1), with streams for a client. Its environment has a
 * TERM where it has a terminal (XS-8); that has one output, whatever `stderr` says.
 *
 * Throws NotFound, FailedPrecondition where the container does not run or the command cannot be
 * executed, and the signal's error while it is being started.
 */
export async function openExecStreams(
  ctx: RuntimeContext,
  containerId: string,
  request: ExecStreamRequest,
  signal?: AbortSignal,
): Promise<ProcessStreams> {
  const { argv, tty, stdin, stdout, stderr } = request;
  const pipe = (wanted: boolean) => (wanted && !tty ? PIPE : NULL);
  const stdio: [StdioSpec, StdioSpec, StdioSpec] = [pipe(stdin), pipe(stdout), pipe(stderr)];
  const process = await openExec(ctx, containerId, { argv, stdio, tty }, signal);
  const ends = tty ? terminalEnds(process, request) : pipeEnds(process);
  const exit = process.wait();
  exit.then(
    () => {
      for (const output of ends.outputs) output.exited(ctx.options.execDrainTimeoutMs);
    },
    () => {
      for (const output of ends.outputs) output.destroy();
    },
  );
  let closing: Promise<void> | undefined;
  return {
    stdin: ends.stdin,
    stdout: ends.stdout,
    stderr: ends.stderr,
    resize: async (rows, cols) => {
      if (tty && isSize(rows, cols)) await process.resize(rows, cols);
    },
    wait: async () => {
      const { exitCode } = await exit;
      return { exitCode };
    },
    close: () => {
      closing ??= endExec(ctx, containerId, process);
      ends.stdin?.destroy();
      for (const output of ends.outputs) output.destroy();
      return closing;
    },
  };
}

interface Ends extends Pick<ProcessStreams, 'stdin'> {
  stdout: ProcessOutput | undefined;
  stderr: ProcessOutput | undefined;
  /** Also one that nobody asked for, which is read all the same. */
  outputs: ProcessOutput[];
}

function pipeEnds({ pipes }: ExecProcess): Ends {
  const [stdin, ...outputs] = pipes;
  const [stdout, stderr] = outputs.map((fd) =>
    fd === undefined
      ? undefined
      : new ProcessOutput(new Socket({ fd, readable: true, writable: false })),
  );
  return {
    stdin: stdin === undefined ? undefined : new ProcessInput(stdin),
    stdout,
    stderr,
    outputs: [stdout, stderr].filter((each) => each !== undefined),
  };
}

function terminalEnds({ terminal = -1 }: ExecProcess, wanted: StreamRequest): Ends {
  const master = new Terminal(terminal);
  const output = new ProcessOutput(master);
  // A terminal that nobody reads would stop its process.
  if (!wanted.stdout) output.resume();
  return {
    stdin: wanted.stdin ? terminalInput(master) : undefined,
    stdout: wanted.stdout ? output : undefined,
    stderr: undefined,
    outputs: [output],
  };
}

/** Its end is no hang-up: the terminal lasts as long as its output is read. */
function terminalInput(master: Terminal): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (master.destroyed) done();
      else master.write(chunk, () => done());
    },
  });
}
