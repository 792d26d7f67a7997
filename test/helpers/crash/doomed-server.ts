import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { EntryStatus } from '../../../src/native/types.ts';
import type { NetworkOptions } from '../../../src/runtime/context.ts';
import type { ContainerConfig, LinuxResources, SandboxConfig } from '../../../src/spec/config.ts';
import type { ContainerState } from '../../../src/store/container-status.ts';
import type { SandboxState } from '../../../src/store/sandboxes.ts';

const inPackage = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const DIST = process.env.CORACLE_TEST_CLI === 'dist';

export interface LookedPod {
  id: string;
  name: string;
  state: SandboxState;
  monitorPid: number;
  ips: string[];
  networked: boolean;
  /** Of its monitor; undefined where nobody is connected to one. */
  entries?: EntryStatus[];
}

export interface LookedContainer {
  id: string;
  name: string;
  podId: string;
  state: ContainerState;
  pid: number;
  exitCode: number;
  reason: string;
  updating: boolean;
  /** Bytes, as recorded. */
  memoryLimit?: number;
  /** Bytes, as the kernel has it; NaN where it has no such cgroup. */
  kernelMemoryLimit: number;
  /** In its cgroups. */
  processes: number[];
}

export interface Look {
  pods: LookedPod[];
  containers: LookedContainer[];
  images: { id: string; tags: string[]; layers: string[] }[];
  /** Ids of the pods that hold an address of the embedded network. */
  addresses: string[];
  /** Ids of the pods that CNI's plugins may hold something for. */
  attachments: string[];
  diskUsage: { usedBytes: number; inodesUsed: number };
  /** Records that could not be read. */
  problems: string[];
  /** Records that the disk has yet to take. */
  dirty: number;
  complaints: string[];
}

/** What a server can be asked, by the name that child.mjs has for it. */
interface Requests {
  arm(spec: string): void;
  hits(): Map<string, number>;
  armMonitors(spec: string): void;
  runPod(config: SandboxConfig): string;
  create(podId: string, config: ContainerConfig): string;
  /** Resolves once the container's process is launched ahead, or could not be. */
  embryo(id: string): void;
  start(id: string): number;
  exec(id: string, argv: string[]): { stdout: string; exitCode: number };
  exited(id: string): void;
  stop(id: string, timeoutMs: number): void;
  remove(id: string): void;
  stopPod(id: string): void;
  removePod(id: string): void;
  update(id: string, resources: LinuxResources): void;
  import(path: string): void;
  pull(name: string): void;
  removeImage(name: string): void;
  look(): Look;
}

/** The server was killed before it answered. */
export class ServerDied extends Error {}

/** A refusal of the runtime, with its kind. */
export class Refused extends Error {
  readonly kind: string | undefined;

  constructor(message: string, kind: string | undefined) {
    super(message);
    this.kind = kind;
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

interface Answer {
  sequence: number;
  value?: unknown;
  error?: { message: string; kind?: string };
}

/** A runtime in a process of its own, on directories of its own, to be killed and started again. */
export class DoomedServer {
  readonly dir: string;
  readonly #network: Partial<NetworkOptions>;
  readonly #waiting = new Map<number, Waiting>();
  #process: ChildProcess | undefined;
  /** Has loaded its modules, which takes most of the time, and waits to be the next. */
  #spare: ChildProcess | undefined;
  #gone: Promise<string> = Promise.resolve('never began');
  #sequence = 0;

  private constructor(dir: string, network: Partial<NetworkOptions>) {
    this.dir = dir;
    this.#network = network;
  }

  static async open(network: Partial<NetworkOptions> = {}): Promise<DoomedServer> {
    const server = new DoomedServer(await mkdtemp(join(tmpdir(), 'coracle-crash-')), network);
    await server.launch();
    return server;
  }

  /** Starts it, or starts it again; resolves when its recovery is over. */
  async launch(): Promise<void> {
    const child = this.#spare ?? this.#load();
    this.#process = child;
    const said = collect(child);
    this.#gone = ended(child).then((signal) => {
      const died = new ServerDied(`the server ended: ${signal} ${said()}`.trim());
      for (const { reject } of this.#waiting.values()) reject(died);
      this.#waiting.clear();
      return signal;
    });
    child.on('message', (answer: Answer) => this.#settle(answer));
    const open = this.#answer(0);
    child.send({});
    await open;
    this.#spare = this.#load();
  }

  /** Resolves with what ended it. */
  get gone(): Promise<string> {
    return this.#gone;
  }

  /** Rejects with ServerDied, or Refused. */
  ask<K extends keyof Requests>(
    name: K,
    ...args: Parameters<Requests[K]>
  ): Promise<ReturnType<Requests[K]>> {
    const child = this.#process;
    if (!child?.connected) return Promise.reject(new ServerDied('there is no server'));
    this.#sequence += 1;
    const answer = this.#answer(this.#sequence);
    // Where that fails, the server's end follows.
    child.send({ sequence: this.#sequence, name, args }, () => {});
    return answer as Promise<ReturnType<Requests[K]>>;
  }

  /** Ends it and deletes its directories. */
  async close(): Promise<void> {
    for (const child of [this.#process, this.#spare]) {
      const gone = child && ended(child);
      child?.kill('SIGKILL');
      await gone;
    }
    await rm(this.dir, { recursive: true, force: true });
  }

  #load(): ChildProcess {
    const modules = pathToFileURL(inPackage(DIST ? 'dist' : 'src')).href;
    const args = [modules, DIST ? 'js' : 'ts', this.dir, JSON.stringify(this.#network)];
    return fork(join(import.meta.dirname, 'child.mjs'), args, {
      execArgv: DIST ? [] : ['--import', 'tsx'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
  }

  #answer(sequence: number): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(sequence, { resolve, reject }));
  }

  #settle({ sequence, value, error }: Answer): void {
    const waiting = this.#waiting.get(sequence);
    this.#waiting.delete(sequence);
    if (error) waiting?.reject(new Refused(error.message, error.kind));
    else waiting?.resolve(value);
  }
}

/** The last of what it says on stderr, while it lives and after. */
function collect(child: ChildProcess): () => string {
  let last = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    last = (last + text).slice(-4000);
  });
  return () => last;
}

/** Resolves with what ended it: a signal, or "exit N". */
async function ended(child: ChildProcess): Promise<string> {
  // Its output, too.
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return child.signalCode ?? `exit ${child.exitCode}`;
}
