/** docs/guarantees.md against what there is: each promise once, by files and tests that exist. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** How many there are of each kind, numbered from 1. */
const PROMISES = {
  ST: 25,
  G: 14,
  SS: 13,
  EX: 17,
  CR: 18,
  SP: 12,
  RM: 7,
  SB: 14,
  RC: 20,
  LG: 13,
  XS: 13,
  IM: 12,
};

/** Of parts that Coracle does not have; the table says which, and nothing shows them. */
const WITHOUT_TEST = ['CR-12', 'ST-20', 'ST-21'];

interface Row {
  id: string;
  what: string;
  files: string[];
  tests: string[];
}

const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? '');

const rows: Row[] = read('docs/guarantees.md')
  .split('\n')
  .filter((line) => /^\| [A-Z]+-\d+ \|/.test(line))
  .map((line) => {
    const cells = line.slice(2, -2).split(' | ');
    assert.equal(cells.length, 4, line);
    const [id = '', what = '', files = '', tests = ''] = cells;
    return { id, what, files: quoted(files), tests: quoted(tests) };
  });

/** The names of the tests in a file, as its source has them. */
function testNames(path: string): Set<string> {
  const call = path.endsWith('.cc')
    ? /TEST_CASE\(\s*(")((?:\\.|(?!\1)[^\\])*)\1/g
    : /\b(?:test|it)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;
  return new Set([...read(path).matchAll(call)].map((m) => (m[2] ?? '').replace(/\\(.)/g, '$1')));
}

test('every promise has its row in docs/guarantees.md, once, and no other has', () => {
  const promised = Object.entries(PROMISES).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, i) => `${kind}-${i + 1}`),
  );
  assert.deepEqual(rows.map(({ id }) => id).sort(), promised.sort());
});

test('every row says something, and names files that exist', () => {
  for (const { id, what, files } of rows) {
    assert.ok(what.length > 20, `${id} says what Coracle does`);
    const missing = files.filter((path) => !existsSync(join(root, path)));
    assert.deepEqual(missing, [], id);
    if (!WITHOUT_TEST.includes(id)) assert.ok(files.length > 0, `${id} names a file`);
  }
});

test('settings are called by their names', () => {
  const named = rows
    .flatMap(({ what }) => quoted(what))
    .filter((text) => /^[a-z]+(-[a-z]+)+$/.test(text));
  assert.ok(named.length > 0);
  const schema = read('src/cli/settings-schema.ts');
  assert.deepEqual(
    named.filter((name) => !schema.includes(`'${name}':`)),
    [],
  );
});

test('every row names tests that exist, but for what does not apply', () => {
  const known = new Map<string, Set<string>>();
  for (const { id, tests } of rows) {
    for (const each of tests) {
      const [, path = '', name = ''] = /^(test\/[\w/.-]+): (.*)$/.exec(each) ?? [];
      assert.ok(existsSync(join(root, path)) && path !== '', `${id}: no file of ${each}`);
      const names = known.get(path) ?? testNames(path);
      known.set(path, names);
      assert.ok(names.has(name), `${id}: no test ${each}`);
    }
  }
  const bare = rows.filter(({ tests }) => tests.length === 0);
  assert.deepEqual(bare.map(({ id }) => id).sort(), WITHOUT_TEST);
  for (const { id, what } of bare) assert.match(what, /^Does not apply: /, id);
});
