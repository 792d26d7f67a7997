/** docs/security.md against what there is: each attack by files and tests that exist. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Those that have to be there, by the number of the one that it befell. */
const KNOWN = [
  'CVE-2019-5736',
  'CVE-2019-19921',
  'CVE-2021-30465',
  'CVE-2022-0492',
  'CVE-2022-1708',
  'CVE-2024-21626',
  'CVE-2024-45310',
  'CVE-2025-31133',
  'CVE-2025-52565',
  'CVE-2025-52881',
];

const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? '');

const rows = read('docs/security.md')
  .split('## Known attacks')[1]
  ?.split('\n')
  .filter((line) => /^\| (?!attack |---)/.test(line))
  .map((line) => {
    const cells = line.slice(2, -2).split(' | ');
    assert.equal(cells.length, 4, line);
    const [attack = '', defence = '', tests = '', without = ''] = cells;
    return { attack, defence, tests: quoted(tests), without };
  });
assert.ok(rows);

test('every known attack has its line', () => {
  const text = rows.map(({ attack }) => attack).join('\n');
  for (const name of KNOWN) assert.match(text, new RegExp(name), name);
});

test('every line names the file that defends, and tells what was seen without it', () => {
  for (const { attack, defence, without } of rows) {
    const files = quoted(defence).filter((name) => /^(src|native)\//.test(name));
    assert.ok(files.length > 0, attack);
    assert.deepEqual(
      files.filter((path) => !existsSync(join(root, path))),
      [],
      attack,
    );
    assert.ok(without.length > 10, attack);
  }
});

test('every line names tests that exist', () => {
  for (const { attack, tests } of rows) {
    assert.ok(tests.length > 0, attack);
    for (const each of tests) {
      const [, path = '', name = ''] = /^(test\/[\w/.-]+): (.*)$/.exec(each) ?? [];
      assert.ok(path !== '' && existsSync(join(root, path)), `${attack}: no file of ${each}`);
      assert.ok(read(path).replaceAll("\\'", "'").includes(name), `${attack}: no test ${each}`);
    }
  }
});

test('every attack that a test is named for has its line', () => {
  const folders = ['test/integration', 'test/native'];
  const named = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => /\.(test\.ts|_test\.cc)$|_test\.cc$/.test(name))
      .flatMap((name) => [...read(`${folder}/${name}`).matchAll(/CVE-\d+-\d+/g)].map((m) => m[0])),
  );
  const text = rows.map(({ attack }) => attack).join('\n');
  assert.deepEqual(
    [...new Set(named)].filter((name) => !text.includes(name)),
    [],
  );
});
