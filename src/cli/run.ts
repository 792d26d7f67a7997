import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ReadStream } from 'node:tty';
import {
  type Container,
  type ContainerOptions,
  CoracleError,
  type PodOptions,
  Runtime,
} from '../index.ts';
import type { RuntimeOptions } from '../runtime/context.ts';
import { findCredentials } from './credentials.ts';
import { onInterrupt } from './interrupt.ts';
import { parsePublish } from './publish.ts';
import { isLive, showPull } from './show-pull.ts';
import { parseVolume } from './volume.ts';

export interface RunOptions {
  runtime: RuntimeOptions;
  net: 'none' | 'host' | 'pod';
  rm: boolean;
  volume: string[];
  publish: string[];
  env: string[];
  tty: boolean;
  interactive: boolean;
}

/** Runs one container in a pod of its own; resolves to the container's exit code. */
export async function run(image: string, command: string[], options: RunOptions): Promise<number> {
  await using runtime = await Runtime.open(options.runtime);
  const local = await localImage(runtime, image);
  const pod = await runtime.runPod(podOptions(options));
  try {
    const container = await pod.createContainer(containerOptions(local, command, options));
    await start(container, options);
    return await attend(container, options);
  } finally {
    // Without --rm the stopped pod stays, to be looked at; it is removed with `crictl rmp`.
    await (options.rm ? pod.remove() : pod.stop());
  }
}

/** The image by reference, pulled where it is missing; a path to an archive is imported. */
async function localImage(runtime: Runtime, image: string): Promise<string> {
  const isPath = /^[./]/.test(image) && (await stat(image).catch(() => undefined)) !== undefined;
  if (isPath) {
    const [imported] = await runtime.images.import(resolve(image));
    if (!imported) throw new CoracleError('InvalidArgument', `${image} holds no image`);
    return imported;
  }
  if (!runtime.images.status(image)) await pullMissing(runtime, image);
  return image;
}

/** Shown on a terminal alone: standard error is the container's. */
async function pullMissing(runtime: Runtime, image: string): Promise<void> {
  const auth = await findCredentials({}, process.stdin, process.env);
  const display = isLive(process.stderr, process.env)
    ? showPull(process.stderr, process.env)
    : undefined;
  using interrupt = onInterrupt();
  interrupt.signal.addEventListener('abort', () => display?.close(), { once: true });
  try {
    await runtime.images.pull(image, {
      auth,
      signal: interrupt.signal,
      onProgress: (progress) => display?.update(progress),
    });
  } finally {
    display?.close();
  }
}

function podOptions(options: RunOptions): PodOptions {
  return {
    attached: options.rm,
    portMappings: options.publish.map(parsePublish),
    namespaces: { network: options.net === 'host' ? 'node' : options.net },
  };
}

function containerOptions(image: string, command: string[], options: RunOptions): ContainerOptions {
  return {
    image,
    args: command,
    env: options.env.map(parseEnv),
    mounts: options.volume.map((text) => parseVolume(text)),
    tty: options.tty,
    stdin: options.interactive,
  };
}

/** "NAME=value", or "NAME" for this program's own value. */
function parseEnv(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, process.env[text] ?? ''] : [text.slice(0, at), text.slice(at + 1)];
}

function start(container: Container, options: RunOptions): Promise<void> {
  if (options.tty) return container.start({});
  return container.start({
    stdin: options.interactive ? 'inherit' : 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
  });
}

/** Passes signals and the terminal on until the container has ended. */
async function attend(container: Container, options: RunOptions): Promise<number> {
  const forward = (signal: NodeJS.Signals) => void container.kill(signal).catch(() => {});
  for (const signal of FORWARDED) process.on(signal, forward);
  const terminal = container.terminal
    ? joinTerminal(container, container.terminal, options.interactive)
    : undefined;
  try {
    return (await container.wait()).exitCode;
  } finally {
    await terminal?.leave();
    for (const signal of FORWARDED) process.off(signal, forward);
  }
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

function joinTerminal(container: Container, terminal: ReadStream, interactive: boolean) {
  const resize = () =>
    void container.resize(process.stdout.rows || 24, process.stdout.columns || 80).catch(() => {});
  resize();
  process.stdout.on('resize', resize);
  const ended = new Promise<void>((done) => terminal.once('close', () => done()));
  terminal.pipe(process.stdout, { end: false });
  if (interactive) {
    if (process.stdin.isTTY) process.stdin.setRawMode(true);
    process.stdin.pipe(terminal);
  }
  return {
    /** Shows what is still in the terminal, then gives this program's own back. */
    leave: async () => {
      await Promise.race([ended, new Promise((done) => setTimeout(done, 500))]);
      process.stdout.off('resize', resize);
      process.stdin.unpipe();
      if (process.stdin.isTTY) process.stdin.setRawMode(false);
      process.stdin.pause();
      terminal.destroy();
    },
  };
}
