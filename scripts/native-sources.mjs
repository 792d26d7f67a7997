// Prints the C++ sources of the named groups of native/sources.json, one a line, relative to the
// package root; "headers" means every header that the monitor is built from.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function nativeSources(groups) {
  const listed = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8'));
  return groups.flatMap((group) => {
    if (group === 'headers') return headers();
    if (!(group in listed)) throw new Error(`native/sources.json has no group "${group}"`);
    return listed[group];
  });
}

function headers() {
  return ['plan', 'sys', 'launch', 'monitor'].flatMap((folder) =>
    readdirSync(join(root, 'native', folder))
      .filter((name) => name.endsWith('.h'))
      .sort()
      .map((name) => `native/${folder}/${name}`),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(nativeSources(process.argv.slice(2)).join('\n'));
}
