/** docs/testing.md against the failpoints that there are. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

function textsBelow(folder: string, ending: RegExp): [path: string, text: string][] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .map((name) => [`${folder}/${name}`, read(`${folder}/${name}`)]);
}

/** The names in code of a part, each once; every call has to have a plain one. */
function placed(folder: string, ending: RegExp): string[] {
  const names = textsBelow(folder, ending)
    .filter(([path]) => !/\/failpoint\.(ts|cc|h)$/.test(path))
    .flatMap(([path, text]) =>
      [...text.matchAll(/\bfailpoint\(([^)]*)\)/g)].map(([, name = '']) => {
        assert.match(name, /^['"][a-z][a-z0-9_.-]*['"]$/, path);
        return name.slice(1, -1);
      }),
    );
  return [...new Set(names)].sort();
}

/** The names in the tables of a part of the page. */
function documented(from: string, to: string): string[] {
  const page = read('docs/testing.md');
  const part = page.slice(page.indexOf(`\n${from}\n`), page.indexOf(`\n${to}\n`));
  assert.ok(part.length > 100, from);
  return part
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      return cells.flatMap((cell) => /^`([a-z][a-z0-9_.-]*)`$/.exec(cell)?.[1] ?? []);
    })
    .sort();
}

test('docs/testing.md has every failpoint of the server, and no other', () => {
  assert.deepEqual(documented("### The server's", "### The monitor's"), placed('src', /\.ts$/));
});

test('docs/testing.md has every failpoint of the native parts, and no other', () => {
  assert.deepEqual(
    documented("### The monitor's", '## Crash matrix'),
    placed('native', /\.(cc|h)$/),
  );
});
