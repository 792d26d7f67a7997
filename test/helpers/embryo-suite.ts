import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach } from 'node:test';
import type { EntryStatus } from '../../src/native/types.ts';
import { makeEmbryo } from '../../src/runtime/embryos.ts';
import { preparedPlan } from '../../src/runtime/prepare.ts';
import { startContainer } from '../../src/runtime/start.ts';
import type { ContainerConfig } from '../../src/spec/config.ts';
import { type DirectSuite, directSuite } from './direct-suite.ts';

/** A container and its embryo's pid, 0 where none came to be. */
export interface Created {
  id: string;
  pid: number;
}

export interface EmbryoSuite extends DirectSuite {
  /** A pod with logs, made for each test. */
  pod: string;
  /** Makes a container as the CRI makes one. */
  created(change?: Partial<ContainerConfig>, pod?: string): Promise<Created>;
  /** Has the process of a container that is there launched ahead. */
  launchAhead(id: string): Promise<void>;
  /** Starts it and tells whether its embryo has become its process. */
  wakes(container: Created): Promise<boolean>;
  /** What the pod's monitor says of it. */
  entry(id: string, pod?: string): Promise<EntryStatus | undefined>;
  log(name: string): string;
}

/** The suite of a test file about processes that are launched ahead. */
export function embryoSuite(): EmbryoSuite {
  const direct = directSuite();
  const { runtime } = direct;
  beforeEach(async () => {
    const logDirectory = join(runtime.dir, 'logs');
    mkdirSync(logDirectory, { recursive: true });
    suite.pod = await runtime.pod({ logDirectory });
  });
  const suite: EmbryoSuite = {
    ...direct,
    pod: '',
    async created(change = {}, pod = suite.pod) {
      const id = await runtime.create(pod, change);
      return { id, pid: await embryoOf(id, pod) };
    },
    async launchAhead(id) {
      const { record } = runtime.ctx.containers.get(id);
      makeEmbryo(runtime.ctx, record, await preparedPlan(runtime.ctx, record));
    },
    async wakes({ id, pid }) {
      const task = await startContainer(runtime.ctx, id);
      return task.pid === pid;
    },
    async entry(id, pod = suite.pod) {
      const entries = await runtime.ctx.monitors.get(pod).connection.state();
      return entries.find((each) => each.id === id);
    },
    log: (name) => readFileSync(join(runtime.dir, 'logs', name), 'utf8'),
    async assertClean() {
      await direct.assertClean(...runtime.pods());
      assert.equal(runtime.ctx.embryos.size, 0);
    },
  };

  /** The pid of the embryo that is made for a container. */
  async function embryoOf(id: string, pod: string): Promise<number> {
    const { ctx } = runtime;
    const monitor = ctx.monitors.get(pod);
    const [others, waiting] = [ctx.embryos.size, ctx.embryos.waiting(monitor)];
    await suite.launchAhead(id);
    while (ctx.embryos.size > others && ctx.embryos.waiting(monitor) === waiting) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return (await suite.entry(id, pod))?.pid ?? 0;
  }
  return suite;
}
