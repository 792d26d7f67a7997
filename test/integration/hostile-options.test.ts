/**
 * The library with options of any kind, as a program may pass that is not written in TypeScript: each
 * is refused with a CoracleError that names the field, or works; nothing crashes and nothing is left.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { containerOptions } from '../../src/embed/options/container.ts';
import { openOptions } from '../../src/embed/options/open.ts';
import { resources } from '../../src/embed/options/parts.ts';
import { podOptions } from '../../src/embed/options/pod.ts';
import {
  attachOptions,
  execOptions,
  stdioOptions,
  timedOptions,
} from '../../src/embed/options/process.ts';
import { type Container, CoracleError, type Pod, Runtime } from '../../src/index.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';
import { librarySuite } from '../helpers/library-suite.ts';

const seed = Number(process.env.CORACLE_HOSTILE_SEED ?? Date.now() % 2 ** 31);
const factor = process.env.CORACLE_HOSTILE_SECONDS ? 40 : 1;

let runtime: Runtime;
let pod: Pod;
let container: Container;
let image: string;

const dir = librarySuite(async (opened, imported) => {
  runtime = opened;
  image = imported;
  pod = await runtime.runPod({ namespaces: { network: 'none' } });
  container = await pod.createContainer({ image, command: ['sleep', '1000'], tty: true });
  await container.start();
});

const circular: Record<string, unknown> = {};
circular.self = circular;

const odd = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true }),
  fc.constantFrom<unknown>(
    null,
    undefined,
    '',
    '\0',
    '/a\0b',
    '..',
    -1,
    0,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    -(2 ** 31),
    4_294_967_295,
    1n,
    Symbol('x'),
    circular,
    () => 'x',
    [[]],
    [undefined],
    { type: 'localhost' },
    { raw: -1 },
    { raw: 1_000_000 },
    new Proxy({}, {}),
    Object.create(null),
    'x'.repeat(100_000),
    '\ud83d\ude00'.repeat(3000),
  ),
);

/** Objects with some of the fields that a schema has, and now and then one that it has not. */
function objectsOf(schema: { entries: object }, fixed: object = {}): fc.Arbitrary<object> {
  const fields = Object.keys(schema.entries);
  const entry = fc.tuple(
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(...fields) },
      { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'no such') },
    ),
    odd,
  );
  const some = fc
    .array(entry, { minLength: 1, maxLength: 2 })
    .map((entries) => ({ ...fixed, ...Object.fromEntries(entries) }));
  return fc.oneof(
    { weight: 9, arbitrary: some },
    { weight: 1, arbitrary: odd as fc.Arbitrary<object> },
  );
}

/** What it resolves to, or undefined for a refusal that says what is wrong. */
async function attempt<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    assert.ok(error instanceof CoracleError, `${(error as Error)?.stack}`);
    assert.notEqual(error.kind, 'Internal', error.stack);
    assert.notEqual(error.kind, 'DataLoss', error.stack);
    if (error.kind === 'InvalidArgument') assert.match(error.message, /^[\w.[\]"]+|^image|^tag/);
    encodeURI(error.message);
    return undefined;
  }
}

function holds<T>(arbitrary: fc.Arbitrary<T>, runs: number, property: (value: T) => Promise<void>) {
  return fc.assert(fc.asyncProperty(arbitrary, property), {
    seed,
    numRuns: runs * factor,
    includeErrorInReport: true,
  });
}

test('pods', { timeout: 600_000 }, async () => {
  const fixed = { namespaces: { network: 'none' } };
  await holds(objectsOf(podOptions, fixed), 150, async (options) => {
    const made = await attempt(() => runtime.runPod(options as never));
    await made?.remove();
  });
  const watched = { dirs: [join(dir, 'state', 'pods')] };
  const before = snapshot(watched);
  await attempt(() => runtime.runPod({}, { signal: 5 } as never));
  assert.deepEqual(await settledLeaks(before, watched), {});
  assert.equal(runtime.pods().length, 1);
});

test('containers', { timeout: 600_000 }, async () => {
  const fixed = { image, command: ['true'] };
  await holds(objectsOf(containerOptions, fixed), 200, async (options) => {
    const made = await attempt(() => pod.createContainer(options as never));
    if (!made) return;
    await attempt(() => made.start());
    await made.remove();
  });
  assert.equal(pod.containers().length, 1);
});

test('what is done with a container', { timeout: 600_000 }, async () => {
  const verbs: [string, fc.Arbitrary<unknown[]>, (...args: never[]) => Promise<unknown>][] = [
    ['update', objectsOf(resources).map((o) => [o]), (o) => container.update(o)],
    [
      'exec',
      fc.tuple(odd, objectsOf(execOptions)),
      async (argv, o) => {
        await (await container.exec(argv, o))[Symbol.asyncDispose]();
      },
    ],
    [
      'exec true',
      objectsOf(execOptions).map((o) => [o]),
      async (o) => {
        await (await container.exec(['true'], o))[Symbol.asyncDispose]();
      },
    ],
    ['execSync', fc.tuple(odd, objectsOf(timedOptions)), (argv, o) => container.execSync(argv, o)],
    [
      'attach',
      objectsOf(attachOptions).map((o) => [o]),
      async (o) => {
        await (await container.attach(o)).detach();
      },
    ],
    ['kill', odd.filter(isNoSignal).map((s) => [s]), (s) => container.kill(s)],
    ['resize', fc.tuple(odd, odd), (rows, columns) => container.resize(rows, columns)],
    ['forward', fc.tuple(odd, objectsOf(timedOptions)), (port, o) => pod.forward(port, o)],
    ['wait', fc.constant([{ signal: 5 }]), (o) => container.wait(o)],
    ['stop', fc.constant([{ timeoutMs: 'soon' }]), (o) => container.stop(o)],
    ['pod', odd.map((id) => [id]), async (id) => runtime.pod(id)],
    ['status', odd.map((name) => [name]), async (name) => runtime.images.status(name)],
    ['list', odd.map((filter) => [filter]), async (filter) => runtime.images.list(filter)],
    ['import', fc.tuple(odd, odd), (path, o) => runtime.images.import(path, o)],
    ['pull', fc.tuple(odd.filter(isNoName), odd), (name, o) => runtime.images.pull(name, o)],
    ['remove', odd.filter(isNoName).map((name) => [name]), (name) => runtime.images.remove(name)],
  ];
  for (const [, args, verb] of verbs) {
    await holds(args, 40, async (values) => {
      await attempt(async () => verb(...(values as never[])));
    });
  }
  assert.equal(container.info().state, 'running');
});

test('the streams of a start', { timeout: 600_000 }, async () => {
  await holds(objectsOf(stdioOptions), 60, async (options) => {
    const made = await pod.createContainer({ image, command: ['true'] });
    // Descriptors that are open here belong to somebody.
    const numbers = Object.values(options ?? {}).some((each) => typeof each === 'number');
    if (!numbers) await attempt(() => made.start(options));
    await made.remove();
  });
});

test('a runtime', { timeout: 600_000 }, async () => {
  const root = join(dir, 'other');
  const fixed = { root, state: join(dir, 'other-state') };
  await holds(objectsOf(openOptions, fixed), 40, async (options) => {
    const elsewhere = { ...options, ...fixed };
    const opened = await attempt(() => Runtime.open(elsewhere as never));
    await opened?.close();
  });
  for (const options of [null, 5, 'x', { root: '' }, { root: 5 }, { log: {} }, { rot: '/x' }]) {
    await assert.rejects(Runtime.open(options as never), { kind: 'InvalidArgument' });
  }
});

test('what is undefined is not there', async () => {
  await using made = await runtime.runPod({
    name: undefined,
    namespaces: { network: 'none' },
  } as never);
  await using child = await made.createContainer({
    image,
    name: undefined,
    command: ['true'],
  } as never);
  await child.start(undefined);
  assert.equal((await child.wait()).exitCode, 0);
});

function isNoSignal(value: unknown): boolean {
  return typeof value !== 'number' && typeof value !== 'string';
}

/** No pull of a test goes to a registry, and no removal takes the image that the others need. */
function isNoName(value: unknown): boolean {
  return typeof value !== 'string' || !/^[a-z0-9]/.test(value);
}
