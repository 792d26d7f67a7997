/** A real server with a pod and containers in every state, for calls that try to break it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { makeBusyboxLayout } from '../../../scripts/busybox-image.mjs';
import { ContainerState, NamespaceMode, PodSandboxState } from '../../../src/cri/gen/cri.ts';
import { leaked, type Snapshot, snapshot, untilNothing } from '../leaks.ts';
import { exited, runPod, type TestPod } from '../pod.ts';
import { TestServer } from '../server.ts';
import type { Message, Value } from './encode.ts';
import { RawClient } from './raw-client.ts';

const IMAGE = 'test.local/busybox:1';

/** What there is, as clients and the kernel have it. */
export interface Observation {
  lists: string[];
  kernel: Snapshot;
}

export class HostileWorld {
  readonly server: TestServer;
  readonly raw: RawClient;
  readonly dir: string;
  pod: TestPod | undefined;
  readonly containers: Record<string, string> = {};
  #imageId = '';

  private constructor(server: TestServer) {
    this.server = server;
    this.dir = join(server.dir, 'bait');
    this.raw = new RawClient(server.socket);
  }

  static async make(): Promise<HostileWorld> {
    const world = new HostileWorld(await TestServer.start());
    try {
      await world.#lay();
      await world.ensure();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** Files of every kind. Whatever a path of a request leads to is below `dir`. */
  async #lay(): Promise<void> {
    const at = (name: string) => join(this.dir, name);
    for (const name of ['logs', 'outside']) mkdirSync(at(name), { recursive: true });
    await makeBusyboxLayout(at('layout'), { name: IMAGE });
    for (const below of ['', 'logs/']) {
      writeFileSync(at(`${below}file`), 'not what you think');
      execFileSync('mkfifo', [at(`${below}fifo`)]);
      symlinkSync('loop', at(`${below}loop`));
      symlinkSync(at('outside'), at(`${below}to-root`));
    }
    writeFileSync(at('seccomp.json'), '{"defaultAction":"SCMP_ACT_ALLOW"}');
    writeFileSync(at('sparse'), '');
    truncateSync(at('sparse'), 2 ** 40);
    const listening = createServer().listen(at('socket'));
    listening.unref();
  }

  /** What earlier calls have taken away is there again. */
  async ensure(): Promise<void> {
    const { client } = this.server;
    const { image } = await client.imageStatus({ image: { image: IMAGE } });
    if (!image) await client.importImage({ path: join(this.dir, 'layout') });
    this.#imageId = (image?.id ?? '').replace('sha256:', '') || (await this.#findImage());
    if (!(await this.#podIsReady())) {
      await this.#removeAll();
      this.pod = await runPod(this.server, IMAGE, NamespaceMode.CONTAINER);
    }
    const { containers } = await client.listContainers({});
    const stateOf = (id = '') => containers.find((each) => each.id === id)?.state;
    const pause = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done'];
    const { pod } = this;
    if (!pod) throw new Error('there is no pod');
    if (stateOf(this.containers.running) !== ContainerState.CONTAINER_RUNNING) {
      const metadata = { name: 'running', attempt: next() };
      this.containers.running = await this.#pausing(await pod.run(pause, { metadata }));
    }
    if (stateOf(this.containers.created) !== ContainerState.CONTAINER_CREATED) {
      this.containers.created = await pod.create(pause, {
        metadata: { name: 'created', attempt: next() },
      });
    }
    if (stateOf(this.containers.exited) !== ContainerState.CONTAINER_EXITED) {
      const id = await pod.run(['true'], { metadata: { name: 'exited', attempt: next() } });
      await exited(this.server, id);
      this.containers.exited = id;
    }
    const ours = new Set(Object.values(this.containers));
    for (const { id } of containers) {
      if (!ours.has(id)) await client.removeContainer({ containerId: id });
    }
  }

  /** Once it has all of its processes: one that is late would look like one that is left. */
  async #pausing(containerId: string): Promise<string> {
    for (let tries = 0; tries < 1000; tries += 1) {
      const cmd = ['pidof', 'sleep'];
      const { exitCode } = await this.server.client.execSync({ containerId, cmd });
      if (exitCode === 0) return containerId;
    }
    throw new Error(`container ${containerId} does not get on`);
  }

  async #findImage(): Promise<string> {
    const { image } = await this.server.client.imageStatus({ image: { image: IMAGE } });
    return (image?.id ?? '').replace('sha256:', '');
  }

  async #podIsReady(): Promise<boolean> {
    const { items } = await this.server.client.listPodSandbox({});
    for (const { id } of items) {
      if (id !== this.pod?.id) await this.server.client.removePodSandbox({ podSandboxId: id });
    }
    return items.some(
      ({ id, state }) => id === this.pod?.id && state === PodSandboxState.SANDBOX_READY,
    );
  }

  async #removeAll(): Promise<void> {
    const { items } = await this.server.client.listPodSandbox({});
    for (const { id } of items) await this.server.client.removePodSandbox({ podSandboxId: id });
  }

  /** Makes the next `ensure` start from nothing: for a pod whose limits are no longer its own. */
  async renew(): Promise<void> {
    await this.#removeAll();
    this.pod = undefined;
    await this.ensure();
  }

  /** A request with what stands in braces replaced by what there is. */
  resolve<T extends Value>(value: T): T {
    if (typeof value === 'string') return this.#text(value) as T;
    if (Array.isArray(value)) return value.map((each) => this.resolve(each)) as T;
    if (typeof value !== 'object' || value instanceof Uint8Array) return value;
    const entries = Object.entries(value as Message);
    return Object.fromEntries(entries.map(([key, each]) => [key, this.resolve(each)])) as T;
  }

  #text(text: string): string {
    if (text.length > 100_000) return text;
    return text.replace(/\{(\w+)(?::(\d+))?\}/g, (whole, name: string, length?: string) => {
      const found = this.#known(name);
      return found === undefined ? whole : found.slice(0, length ? Number(length) : undefined);
    });
  }

  #known(name: string): string | undefined {
    if (name === 'pod') return this.pod?.id;
    if (name === 'dir') return this.dir;
    if (name === 'base') return basename(this.dir);
    if (name === 'image') return IMAGE;
    if (name === 'imageId') return this.#imageId;
    return this.containers[name];
  }

  async observe(): Promise<Observation> {
    const { client, root, state } = this.server;
    const { items } = await client.listPodSandbox({});
    const { containers } = await client.listContainers({});
    const { images } = await client.listImages({});
    const lists = [
      ...items.map((each) => `pod ${each.id} ${PodSandboxState[each.state]}`),
      ...containers.map((each) => `container ${each.id} ${ContainerState[each.state]}`),
      ...images.map(({ id, repoTags }) => `image ${id} ${repoTags}`),
      ...readdirSync(join(root, 'containers')).map((name) => `files of ${name}`),
    ];
    return { lists: lists.sort(), kernel: snapshot({ dirs: [join(state, 'pods')] }) };
  }

  /**
   * What a call has left that it should not have, or has taken away; nothing where all is as it was
   * or comes to be so. A monitor that waits for a next pod may have come meanwhile: it goes within
   * 10 s (SpareMonitors).
   */
  difference(before: Observation): Promise<object> {
    return untilNothing(async () => changes(before, await this.observe()));
  }

  /** What the log says, since the last time, of faults of the server's own. */
  errorsLogged(): string[] {
    const lines = this.server.output.split('\n');
    this.server.output = '';
    // An archive that is damaged is no fault of the server's, and is told as what it is.
    return lines.filter(
      (line) => /^\{"level":"(error|fatal)/.test(line) && !line.includes('"kind":"DataLoss"'),
    );
  }

  async close(): Promise<void> {
    this.raw.close();
    await this.server.close();
  }
}

function changes(before: Observation, after: Observation): object {
  const gone = before.lists.filter((line) => !after.lists.includes(line));
  const come = after.lists.filter((line) => !before.lists.includes(line));
  return {
    ...(gone.length > 0 && { gone }),
    ...(come.length > 0 && { come }),
    ...leaked(before.kernel, after.kernel),
  };
}

let attempts = 1000;

function next(): number {
  attempts += 1;
  return attempts;
}
