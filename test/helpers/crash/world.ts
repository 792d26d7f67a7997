import { execFileSync } from 'node:child_process';
import { constants, readFileSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerConfig, SandboxConfig } from '../../../src/spec/config.ts';
import type { FakePlugins } from '../cni.ts';
import { makeBusyboxLayout, makeTar, noise, writeLayout } from '../image-fixture.ts';
import { type LayoutRegistry, serveLayout } from '../layout-registry.ts';
import { leaked, type Snapshot, snapshot, untilNothing } from '../leaks.ts';
import { DoomedServer } from './doomed-server.ts';

const IMAGE = 'test.local/busybox:1';
/** What the kernel takes back in its own time (network namespaces) is waited for so long, ms. */
const SETTLE_MS = 5_000;

/** What an operation works on; empty where it makes it. */
export interface Scene {
  pod: string;
  container: string;
  podConfig: SandboxConfig;
  containerConfig: ContainerConfig;
  /** A FIFO that the container reads before it ends. */
  fifo: string;
  /** What a crash left of what the operation makes: its id, which a retry has to return. */
  made?: string;
}

/** A server with one image and one pod that has nothing to do with what happens around it. */
export class World {
  readonly server: DoomedServer;
  readonly registry: LayoutRegistry;
  bystander = { pod: '', container: '', pid: 0 };
  readonly #plugins: FakePlugins | undefined;
  #clean: Snapshot | undefined;
  #names = 0;

  private constructor(server: DoomedServer, registry: LayoutRegistry, plugins?: FakePlugins) {
    this.server = server;
    this.registry = registry;
    this.#plugins = plugins;
  }

  /** With `plugins` pods are connected by them, else by the embedded network. */
  static async make(plugins?: FakePlugins): Promise<World> {
    const network = plugins && { cniConfDir: plugins.confDir, cniBinDirs: [plugins.binDir] };
    const server = await DoomedServer.open(network);
    await mkdir(join(server.dir, 'logs'));
    const layout = join(server.dir, 'layout');
    await makeBusyboxLayout(layout, { name: IMAGE });
    await server.ask('import', layout);
    const second = join(server.dir, 'second');
    writeLayout(second, { name: SECOND, layers: secondFiles.map(layerOf) });
    const world = new World(server, await serveLayout(second), plugins);
    await world.#settleIn();
    return world;
  }

  get secondLayout(): string {
    return join(this.server.dir, 'second');
  }

  /** The second image, as the registry has it. */
  get pulled(): string {
    return `${this.registry.host}/second:1`;
  }

  podConfig(network: 'pod' | 'none' = 'none'): SandboxConfig {
    this.#names += 1;
    const name = `pod-${this.#names}`;
    const logDirectory = join(this.server.dir, 'logs');
    return { name, namespace: 'test', uid: 'u', attempt: 0, logDirectory, namespaces: { network } };
  }

  /** Sleeps; with a FIFO, says so in its log, reads that to its end, and ends with 7. */
  containerConfig(fifo = ''): ContainerConfig {
    this.#names += 1;
    const name = `c-${this.#names}`;
    const base = { name, attempt: 0, image: IMAGE, logPath: `${name}.log` };
    if (fifo === '') return { ...base, command: ['sleep', '1000'] };
    return {
      ...base,
      command: ['sh', '-c', 'echo begun; cat /signal/fifo; echo over; exit 7'],
      mounts: [{ containerPath: '/signal', hostPath: join(fifo, '..') }],
    };
  }

  async makeFifo(): Promise<string> {
    this.#names += 1;
    const dir = join(this.server.dir, `signal-${this.#names}`);
    await mkdir(dir);
    execFileSync('mkfifo', [join(dir, 'fifo')]);
    return join(dir, 'fifo');
  }

  /** Ids of the pods that a plugin holds something for. */
  async heldByPlugins(): Promise<string[]> {
    const held = (await this.#plugins?.held()) ?? [];
    return held.map((name) => name.slice(name.lastIndexOf('-') + 1));
  }

  /** Removes all that was made since the beginning; returns what is left nevertheless. */
  async clear(): Promise<Record<string, string[]>> {
    const { pods, images } = await this.server.ask('look');
    for (const { id } of pods) {
      if (id !== this.bystander.pod) await this.server.ask('removePod', id);
    }
    for (const { id, tags } of images) {
      if (!tags.includes(IMAGE)) await this.server.ask('removeImage', id);
    }
    const left = async () => {
      const found = leaked(this.#clean as Snapshot, this.#look());
      const held = await this.heldByPlugins();
      return held.length > 0 ? { ...found, held } : found;
    };
    return untilNothing(left, { ms: SETTLE_MS, pause: 10 });
  }

  /** What is left of an earlier failure is not to be counted again. */
  forgive(): void {
    this.#clean = this.#look();
  }

  async close(): Promise<void> {
    try {
      const { pods } = await this.server.ask('look');
      for (const { id } of pods) await this.server.ask('removePod', id);
    } finally {
      await this.server.close();
      await this.registry[Symbol.asyncDispose]();
    }
  }

  /** What is made once (a bridge, tables, caches) is there before the first look. */
  async #settleIn(): Promise<void> {
    const pod = await this.server.ask('runPod', this.podConfig('pod'));
    await this.server.ask('removePod', pod);
    this.bystander.pod = await this.server.ask('runPod', this.podConfig());
    this.bystander.container = await this.server.ask(
      'create',
      this.bystander.pod,
      this.containerConfig(),
    );
    this.bystander.pid = await this.server.ask('start', this.bystander.container);
    this.#clean = this.#look();
    // The first pod's network namespace may still be on its way out, and is none of ours then.
    this.forgive();
  }

  #look(): Snapshot {
    const { dir } = this.server;
    const roots = ['containers', 'pods', 'blobs', 'ingest', 'layers'].map((name) =>
      join(dir, 'root', name),
    );
    return snapshot({ dirs: [join(dir, 'state'), ...roots] });
  }
}

const SECOND = 'test.local/second:1';
const secondFiles = ['lower', 'upper'];
const contentOf = (name: string) => noise(name, 100_000);
const layerOf = (name: string) => makeTar([{ name, data: contentOf(name) }]);

/** Whether layers, topmost first, relative to the root, are those of the second image. */
export function isSecondImage(world: World, layers: readonly string[]): boolean {
  return secondFiles.toReversed().every((name, index) => {
    const path = join(world.server.dir, 'root', layers[index] ?? 'none', name);
    return readFileSync(path).equals(contentOf(name));
  });
}

/** Lets the container that reads a FIFO come to its end. False if nobody came to read it. */
export async function release(fifo: string, ms = 5_000): Promise<boolean> {
  for (const until = Date.now() + ms; Date.now() < until; await sleep(2)) {
    try {
      await (await open(fifo, constants.O_WRONLY | constants.O_NONBLOCK)).close();
      return true;
    } catch (error) {
      // ENXIO: it has not opened it yet.
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
    }
  }
  return false;
}
