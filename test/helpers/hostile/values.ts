/** Values that somebody who means harm, or knows no better, may send. */
import fc from 'fast-check';
import type { Value } from './encode.ts';
import { enums, type Field, messages } from './schema.ts';

/** Replaced by what there is when the request is sent: `resolve` in world.ts. */
const IDS = [
  '{pod}',
  '{running}',
  '{created}',
  '{exited}',
  '{pod:8}',
  '{running:8}',
  '{created:1}',
  '{imageId}',
  '{imageId:12}',
];
const IMAGES = [
  '{image}',
  '{imageId}',
  'sha256:{imageId}',
  'test.local/busybox',
  'test.local/busybox:',
  'test.local/busybox@sha256:0',
  'TEST.local/Busybox:1',
  'localhost:1/x/y:z',
  'localhost:99999/x',
  '127.0.0.1:1/a@sha256:{imageId}',
  '[::1]:1/a',
  'http://localhost/x',
  '../../x',
  'a//b',
  ':',
  '@',
  'a:b:c',
  `${'a/'.repeat(200)}b`,
];
/** What to read, or to open, may take forever. */
export const ENDLESS = [
  '/',
  '/dev/zero',
  '/dev/full',
  '/dev/ptmx',
  '/proc/kmsg',
  '/proc/no/such',
  '/dev/null/x',
  '/proc/self/fd/0',
  '{dir}/fifo',
  '{dir}/loop',
  '{dir}/socket',
  '{dir}/sparse',
  'fifo',
  'loop/x',
];
/** Nothing outside the test's own directory may come into being by these. */
export const PATHS = [
  '/',
  '//',
  '.',
  '..',
  '../..',
  '../../../../../../etc/passwd',
  'a/../../b',
  'relative/path',
  '/etc/passwd',
  '/proc',
  '/proc/no',
  '/sys/no/such',
  '/proc/self/fd/0',
  '/proc/sys/kernel/core_pattern',
  '/sys/fs/cgroup',
  '/dev',
  '/dev/null',
  '/dev/zero',
  '/dev/full',
  '/dev/pts/0',
  '/etc/hosts',
  '/a\0b',
  '{dir}',
  '{dir}/no/such',
  '{dir}/file',
  '{dir}/seccomp.json',
  '/coracle/bait/below',
  '/cgroup.procs/x',
  '{dir}/file/below',
  '{dir}/fifo',
  '{dir}/socket',
  '{dir}/loop',
  '{dir}/to-root',
  '{dir}/../{base}/file',
  '{dir}/sparse',
  `{dir}/${'n'.repeat(256)}`,
  `{dir}/${'d/'.repeat(2100)}`,
  'fifo',
  'loop/x',
  'to-root/x.log',
  'file/x.log',
];
export const WORDS = [
  '',
  ' ',
  '\n',
  '\0',
  'a\0b',
  'a\nb',
  'a=b',
  '=',
  '%s%n',
  '$(reboot)',
  '"\'`\\',
  '-1',
  '0',
  'true',
  'null',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'localhost/',
  'localhost//dev/zero',
  'localhost/{dir}/fifo',
  'runtime/default',
  'unconfined',
  'net.ipv4.ip_forward',
  'kernel.core_pattern',
  'net/ipv4/conf/../../../kernel/core_pattern',
  'net..x',
  'kernel.shmmax',
  'memory.max',
  'cgroup.procs',
  'cdi.k8s.io/x',
  'ALL',
  'CAP_SYS_ADMIN',
  'root',
  '0-3,7',
  '0-999999',
  '3-1',
  ',',
  '2MB',
  '3KB',
  '1GB',
  '10.0.0.1',
  '::1',
  '256.1.1.1',
  'fe80::1%lo',
  'rwm',
  'x.slice',
  '/a--b.slice',
  '\ud83d\ude00'.repeat(3000),
  '\u202egnp.exe',
  '\ufeffx',
  '\ud7ff',
  'e\u0301'.repeat(64),
  'x'.repeat(64),
  'x'.repeat(65),
  'x'.repeat(255),
  'x'.repeat(256),
  'x'.repeat(4096),
];
const NOT_UTF8: Uint8Array[] = [
  Uint8Array.of(0xff),
  Uint8Array.of(0x61, 0xc0, 0x80),
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0xf4, 0x90, 0x80, 0x80),
  Uint8Array.of(0x61, 0xe2, 0x82),
];

const bulk = fc
  .record({
    unit: fc.constantFrom('x', '/', '\0', '{', '\u20ac'),
    size: fc.constantFrom(2 ** 16, 2 ** 20),
  })
  .map(({ unit, size }) => unit.repeat(size / unit.length));

const words: fc.Arbitrary<Value> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...WORDS) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.constantFrom(...NOT_UTF8) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      { weight: 9, arbitrary: fc.constant('y'.repeat(9999)) },
      { weight: 1, arbitrary: bulk },
    ),
  },
);
const ids = fc.constantFrom(...IDS);
const images = fc.constantFrom(...IMAGES);
const paths = fc.constantFrom(...PATHS);

function anyOf(first: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  return fc.oneof(
    { weight: 4, arbitrary: first },
    { weight: 3, arbitrary: words },
    { weight: 1, arbitrary: fc.oneof(ids, images, paths) },
  );
}

/** What the name of a text field says about the kind of values that get far. */
function texts(name: string): fc.Arbitrary<Value> {
  if (/(^|_)id$/.test(name)) return anyOf(ids);
  if (/image/.test(name)) return anyOf(images);
  if (/path|_dir|directory|parent|ref$|paths$/.test(name)) return anyOf(paths);
  return anyOf(words);
}

const WIDTHS: Record<string, [bigint, bigint]> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
};

function integers(type: string): fc.Arbitrary<Value> {
  const [least, most] = WIDTHS[type] ?? [0n, 1n];
  const near = [0n, 1n, -1n, 2n, 3n, 1000n, -1000n, 1001n, 65_535n, 65_536n, 262_145n, 4_194_304n];
  const powers = [2n ** 31n, 2n ** 32n - 2n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n];
  const edges = [...near, ...powers, -(2n ** 31n), -(2n ** 53n), least, most, most - 1n];
  return fc.oneof(
    fc.constantFrom(...edges.filter((value) => value >= least && value <= most)),
    fc.bigInt(least, most),
  );
}

const bytes = fc.oneof<fc.Arbitrary<Value>[]>(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(...NOT_UTF8),
  words,
);

function scalars({ type, name }: Field): fc.Arbitrary<Value> {
  if (type === 'string') return texts(name);
  if (type === 'bytes') return bytes;
  if (type === 'bool') return fc.boolean();
  const numbers = enums.get(type);
  if (numbers)
    return fc.oneof(fc.constantFrom(...numbers), fc.constantFrom(-1, 9, 99, 2 ** 31 - 1));
  return integers(type);
}

/** Any value for a field, whatever the protocol will think of it. */
export function valuesFor(field: Field, depth = 0): fc.Arbitrary<Value> {
  if (field.map) return fc.array(fc.tuple(words, words), { maxLength: 4 }) as fc.Arbitrary<Value>;
  const one = messages.has(field.type) ? messageOf(field.type, depth + 1) : scalars(field);
  if (!field.repeated) return one;
  // The same twice is a case of its own, and so is a great many.
  const twice = one.map((value): Value => [value, value]);
  const many = fc
    .tuple(one, fc.constantFrom(100, 3000))
    .map(([value, n]) => (size(value) > 2000 ? [value] : Array<Value>(n).fill(value)));
  return fc.oneof(
    { weight: 6, arbitrary: fc.array(one, { maxLength: 3 }) as fc.Arbitrary<Value> },
    { weight: 2, arbitrary: twice },
    { weight: 1, arbitrary: many },
  );
}

function size(value: Value): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object') return 8;
  return Object.values(value).reduce<number>((sum, each) => sum + size(each as Value), 8);
}

/** A message with some of its fields. */
export function messageOf(type: string, depth = 0): fc.Arbitrary<Value> {
  const fields = depth > 4 ? [] : (messages.get(type) ?? []);
  return fc.record(
    Object.fromEntries(fields.map((field) => [field.key, valuesFor(field, depth)])),
    { requiredKeys: [] },
  ) as fc.Arbitrary<Value>;
}
