/** A server with one image for the tests of a file, and what they ask of every pod and container. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import {
  type Container,
  type ContainerConfig,
  ContainerState,
  type ContainerStatus,
  type DeepPartial,
  type PodSandboxConfig,
} from '../../src/cri/gen/cri.ts';
import { snapshot } from './leaks.ts';
import { exited } from './pod.ts';
import { TestServer } from './server.ts';

export interface Output {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export interface LogLine {
  time: string;
  stream: string;
  tag: string;
  text: string;
}

/** Never ends by itself, and ends at once when it is asked to. */
export const PAUSE = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done'];

export class Pod {
  readonly id: string;
  readonly config: DeepPartial<PodSandboxConfig>;
  readonly logDirectory: string;
  readonly #suite: Suite;
  #attempts = 0;

  constructor(suite: Suite, id: string, config: DeepPartial<PodSandboxConfig>) {
    this.#suite = suite;
    this.id = id;
    this.config = config;
    this.logDirectory = config.logDirectory ?? '';
  }

  /** Creates a container that pauses, or what the configuration says; its log is "<attempt>.log". */
  async create(config: DeepPartial<ContainerConfig> = {}): Promise<string> {
    this.#attempts += 1;
    const { containerId } = await this.#suite.client.createContainer({
      podSandboxId: this.id,
      sandboxConfig: this.config,
      config: {
        metadata: { name: 'c', attempt: this.#attempts },
        image: { image: this.#suite.image },
        command: PAUSE,
        logPath: `${this.#attempts}.log`,
        ...config,
      },
    });
    return containerId;
  }

  /** Creates and starts a container; it runs, or has already ended well. */
  async run(config: DeepPartial<ContainerConfig> = {}): Promise<string> {
    const containerId = await this.create(config);
    await this.#suite.client.startContainer({ containerId });
    return containerId;
  }

  /** Runs a container to its end. */
  async complete(
    config: DeepPartial<ContainerConfig>,
  ): Promise<{ status: ContainerStatus; log: LogLine[] }> {
    const status = await exited(this.#suite.server, await this.run(config));
    return { status, log: readLog(status.logPath) };
  }
}

export class Suite {
  #server: TestServer | undefined;
  readonly image = 'test.local/busybox:1';
  #pods = 0;
  readonly #made: string[] = [];

  get server(): TestServer {
    if (!this.#server) throw new Error('the server does not run');
    return this.#server;
  }

  get client(): TestServer['client'] {
    return this.server.client;
  }

  async start(): Promise<void> {
    this.#server = await TestServer.start();
    const path = join(this.#server.dir, 'layout');
    makeBusyboxLayout(path, { name: this.image });
    await this.client.importImage({ path });
  }

  /** Runs a pod with a log directory and unique metadata; the configuration's fields win. */
  async pod(config: DeepPartial<PodSandboxConfig> = {}): Promise<Pod> {
    this.#pods += 1;
    const name = `pod-${this.#pods}`;
    const logDirectory = join(this.server.dir, 'logs', name);
    mkdirSync(logDirectory, { recursive: true });
    const whole = {
      metadata: { name, namespace: 'conformance', uid: `uid-${name}`, attempt: 2 },
      logDirectory,
      ...config,
    };
    const { podSandboxId } = await this.client.runPodSandbox({ config: whole });
    this.#made.push(podSandboxId);
    return new Pod(this, podSandboxId, whole);
  }

  async exec(containerId: string, ...cmd: string[]): Promise<Output> {
    const { stdout, stderr, exitCode } = await this.client.execSync({
      containerId,
      cmd,
      timeout: 30n,
    });
    return { stdout: `${stdout}`, stderr: `${stderr}`, exitCode };
  }

  /** Standard output of a script that must succeed and say nothing on standard error. */
  async shell(containerId: string, script: string): Promise<string> {
    const { stdout, stderr, exitCode } = await this.exec(containerId, 'sh', '-c', script);
    assert.deepEqual({ stderr, exitCode }, { stderr: '', exitCode: 0 }, script);
    return stdout.trim();
  }

  async status(containerId: string): Promise<ContainerStatus> {
    const { status } = await this.client.containerStatus({ containerId });
    assert.ok(status);
    return status;
  }

  async assertState(containerId: string, state: ContainerState): Promise<void> {
    const actual = (await this.status(containerId)).state;
    assert.equal(ContainerState[actual], ContainerState[state]);
  }

  /** Ends the server, whose pods must leave nothing in the kernel or on disk. */
  async end(): Promise<void> {
    if (!this.#server) return;
    try {
      const { items } = await this.client.listPodSandbox({});
      for (const { id } of items) await this.client.removePodSandbox({ podSandboxId: id });
      const { containers } = await this.client.listContainers({});
      assert.deepEqual({ ...this.#left(), containers }, NOTHING);
    } finally {
      await this.#server.close();
    }
  }

  #left(): Omit<typeof NOTHING, 'containers'> {
    const { mounts, cgroups } = snapshot();
    return {
      mounts: mounts.filter((line) => line.includes(this.server.dir)),
      cgroups: cgroups.filter((path) => this.#made.some((id) => path.includes(id))),
      monitors: monitorsOf(this.#made),
    };
  }
}

const NOTHING = {
  containers: [] as Container[],
  mounts: [] as string[],
  cgroups: [] as string[],
  monitors: [] as string[],
};

/**
 * The suite of a test file: started before its tests, ended and checked after them. `prepare` runs
 * once the server is up, `finish` before it ends: hooks of the file itself would run beside.
 */
export function conformanceSuite(
  more: { prepare?(): void | Promise<void>; finish?(): void | Promise<void> } = {},
): Suite {
  const suite = new Suite();
  before(async () => {
    await suite.start();
    await more.prepare?.();
  });
  after(async () => {
    await more.finish?.();
    await suite.end();
  });
  return suite;
}

/** A log in the CRI's format; fails on a line that is not. */
export function readLog(path: string): LogLine[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  assert.equal(lines.pop(), '', 'the last line ends with a newline');
  return lines.map((line) => {
    const [, time = '', stream = '', tag = '', text = ''] =
      /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP]) (.*)$/.exec(
        line,
      ) ?? assert.fail(`no line of a CRI log: ${line}`);
    return { time, stream, tag, text };
  });
}

/** Waits until `probe` answers with something that is not undefined; fails after `ms`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  ms = 10_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function monitorsOf(pods: readonly string[]): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return pods.some((id) => line.includes(id));
    } catch {
      return false;
    }
  });
}
