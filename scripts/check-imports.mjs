// Imports point downwards only. Prints every import that does not, and exits with 1.
//
//     cli → cri → {runtime, image, network, streaming} → {spec, store} → native → {errors, failpoint}
//
// Beside cri stands the embedding API (embed, index); runtime may use image, network and streaming;
// observe (logs, metrics) serves cli, cri, embed and runtime.
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesBelow, root } from './run-step.mjs';

const base = ['spec', 'store', 'native', 'failpoint', 'errors'];
const parts = ['image', 'network', 'streaming', ...base];

/** Layer → the layers it may import from; a layer is a folder of src/ or a file in it. */
export const allowed = {
  cli: ['index', 'embed', 'cri', 'runtime', 'observe', ...parts],
  index: ['embed', 'runtime', 'observe', ...parts],
  embed: ['runtime', 'observe', ...parts],
  cri: ['runtime', 'observe', ...parts],
  runtime: ['observe', ...parts],
  image: base,
  network: base,
  streaming: base,
  observe: ['native', 'errors'],
  store: ['spec', 'native', 'failpoint', 'errors'],
  spec: ['native', 'errors'],
  native: ['failpoint', 'errors'],
  failpoint: [],
  errors: [],
};

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)['"](\.[^'"]+)['"]/gm;

/** "src/cri/server.ts" → "cri", "src/errors.ts" → "errors". */
export function layerOf(path) {
  const inside = relative('src', path);
  return inside.split('/')[0].replace(/\.ts$/, '');
}

/** One message for each import of the file's text that points the wrong way. */
export function violations(path, text) {
  const layer = layerOf(path);
  if (!(layer in allowed)) return [`${path}: ${layer} is no layer; see scripts/check-imports.mjs`];
  const found = [];
  for (const match of text.matchAll(IMPORT)) {
    const target = join(dirname(path), match[1]);
    const line = text.slice(0, match.index).split('\n').length;
    if (!target.startsWith('src/')) {
      found.push(`${path}:${line}: imports ${match[1]}, which is outside of src/`);
      continue;
    }
    const other = layerOf(target);
    if (other === layer || allowed[layer].includes(other)) continue;
    const may = allowed[layer].join(', ') || 'nothing';
    found.push(`${path}:${line}: ${layer} imports from ${other}; it may import from: ${may}`);
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = filesBelow('src', ['.ts']);
  const found = files.flatMap((path) => violations(path, readFileSync(join(root, path), 'utf8')));
  for (const message of found) console.log(message);
  console.log(`${files.length} files, ${found.length} imports in the wrong direction`);
  process.exit(found.length === 0 ? 0 : 1);
}
