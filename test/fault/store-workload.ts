/**
 * A program for test/fault to record: opens the store below a root directory, changes it in every
 * way that the runtime does, and notes each commit in the file of marks.
 * Arguments: root, marks, seed, number of steps, how it ends (close, kill).
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend, Change } from '../../src/store/backend.ts';
import { ended } from '../../src/store/container-status.ts';
import { type Container, openContainers } from '../../src/store/containers.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { openBackend } from '../../src/store/open.ts';
import { openSandboxes } from '../../src/store/sandboxes.ts';
import { containerRecord, sandboxRecord } from '../helpers/store.ts';
import { seeded } from './disk-model.ts';
import { COUNT, type StoreMark } from './store-history.ts';

const [root = '', marks = '', seed = '', steps = '', end = 'close'] = process.argv.slice(2);
const marksFile = openSync(marks, 'a', 0o600);
const mark = (entry: StoreMark) => writeSync(marksFile, JSON.stringify(entry));

/** Numbers every commit, in a row of the commit itself, and notes what becomes of it. */
class Marking implements Backend {
  readonly #backend: Backend;
  #count: number;

  constructor(backend: Backend) {
    this.#backend = backend;
    const [found] = backend.load(COUNT);
    this.#count = Number(found?.[1].toString() ?? 0);
    // What a program has found, it has told others of.
    mark({ durable: this.#count });
  }

  load(prefix: string) {
    return this.#backend.load(prefix);
  }

  async commit(given: readonly Change[]): Promise<void> {
    this.#count += 1;
    const n = this.#count;
    const changes = [...given, { key: COUNT, value: Buffer.from(String(n)) }];
    mark({
      begun: n,
      changes: changes.map(({ key, value }) => [key, value?.toString('base64') ?? null]),
    });
    await this.#backend.commit(changes);
  }

  async flushed(): Promise<void> {
    const n = this.#count;
    await this.#backend.flushed();
    mark({ durable: n });
  }

  close(): Promise<void> {
    return this.#backend.close();
  }
}

const random = seeded(Number(seed));
const below = (n: number) => Math.floor(random() * n);
const { backend } = await openBackend(join(root, 'meta'));
const store = new MemoryStore(new Marking(backend));
const sandboxes = openSandboxes(store);
const containers = openContainers(store);
const images = store.table<{ tags: string[]; layers: string }>('images');
const anyOf = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
const containerWith = (state: (container: Container) => boolean) =>
  anyOf(containers.list().filter(state));

const actions: (() => Promise<unknown>)[] = [
  () => sandboxes.add(sandboxRecord(`${seed}-pod-${below(1e9)}`)),
  async () => anyOf(sandboxes.list())?.change((record) => ({ ...record, monitorPid: below(9999) })),
  async () => {
    const sandbox = anyOf(sandboxes.list());
    if (sandbox) await sandboxes.remove(sandbox.record.id);
  },
  ...Array.from({ length: 3 }, () => () => {
    // From one page of lmdb to several, so that its file grows and has values of many pages.
    const text = 'x'.repeat(below(5) === 0 ? below(12_000) : below(900));
    const config = { name: 'main', attempt: 0, image: 'busybox', labels: { text } };
    return containers.add(containerRecord(`${seed}-${below(1e9)}`, { config }));
  }),
  async () => {
    const created = containerWith(({ status }) => status.get().startedAt === 0n);
    await created?.status.updateSync((status) => ({ ...status, startedAt: 5n, pid: below(9999) }));
  },
  async () => {
    const running = containerWith(({ status }) => status.get().pid !== 0);
    await running?.status.settle((status) =>
      ended(status, { finishedAt: 9n, exitCode: below(256), reason: 'Completed' }),
    );
  },
  async () => {
    const container = anyOf(containers.list());
    if (container && below(2) === 0) await containers.remove(container.record.id);
  },
  async () => {
    const tags = [`t${below(4)}`];
    const loser = anyOf([...images.entries()]);
    await store.transact(() => {
      if (loser) void images.put(loser[0], { ...loser[1], tags: [] });
      void images.put(`sha256:${below(6)}`, { tags, layers: 'l'.repeat(below(3000)) });
    });
    await store.flushed();
  },
  // Commits that nobody waits for, and more than a file of the journal is to hold.
  async () => {
    for (let i = 0; i < 12; i += 1) {
      void images.put(`burst:${i}`, { tags: [], layers: `${below(1e9)}`.repeat(below(400)) });
    }
  },
  // lmdb takes what has gathered.
  () => sleep(25),
];

for (let step = 0; step < Number(steps); step += 1) {
  const count = below(4) === 0 ? 3 : 1;
  await Promise.all(Array.from({ length: count }, () => actions[below(actions.length)]?.()));
}
if (end === 'kill') process.kill(process.pid, 'SIGKILL');
await store.close();
