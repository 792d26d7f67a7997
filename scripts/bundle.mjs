// Puts what the command line runs into few files: main.js and chunks beside it, from src/cli/main.ts.
//
//     node scripts/bundle.mjs [DIRECTORY]     default: dist/cli
//
// What finds files by its own place, as the addon is found, wants a directory as deep as src/cli.
//
// Node takes half a millisecond for each module that it finds, reads, compiles and links, and a
// server has 400 of ours: they were half of its start. Packages stay where they are. The library,
// dist/index.js and below, stays as tsc has made it, a module for a module; a program loads either.
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { root } from './run-step.mjs';

const CHUNK = 'chunk-';
const out = resolve(root, process.argv[2] ?? 'dist/cli');

mkdirSync(out, { recursive: true });
for (const name of readdirSync(out)) {
  if (name.startsWith(CHUNK)) rmSync(join(out, name));
}
await build({
  absWorkingDir: root,
  entryPoints: ['src/cli/main.ts'],
  outdir: out,
  chunkNames: `${CHUNK}[hash]`,
  bundle: true,
  // What a command imports when it is called stays apart from what starts it.
  splitting: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
});
// As npm does where it installs the package: its first line says how it is run.
chmodSync(join(out, 'main.js'), 0o755);
