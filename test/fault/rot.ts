import { lstatSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What is done to a file: some bits turned, a block zeroed, its end cut off, or all of it noise. */
type Damage = 'bits' | 'block' | 'cut' | 'noise';
const KINDS: readonly Damage[] = ['bits', 'bits', 'block', 'cut', 'noise'];

/** Damages a file that is not empty; tells what was done. */
export function damage(path: string, random: () => number): string {
  const below = (n: number) => Math.floor(random() * n);
  const kind = KINDS[below(KINDS.length)] ?? 'bits';
  const bytes = readFileSync(path);
  if (kind === 'cut') {
    const size = below(bytes.length);
    truncateSync(path, size);
    return `cut to ${size} of ${bytes.length}`;
  }
  const at = below(bytes.length);
  if (kind === 'bits') {
    const count = 1 + below(4);
    for (let n = 0; n < count; n += 1) {
      const place = Math.min(bytes.length - 1, at + below(64));
      bytes[place] = (bytes[place] ?? 0) ^ (1 << below(8));
    }
  } else if (kind === 'block') bytes.fill(0, at, Math.min(bytes.length, at + 512));
  else for (let n = 0; n < bytes.length; n += 1) bytes[n] = below(256);
  // In place: others have the file open.
  writeFileSync(path, bytes, { flag: 'r+' });
  return `${kind} at ${at} of ${bytes.length}`;
}

/** The regular files below a directory that have bytes, relative to it. */
export function filesWithBytes(directory: string): string[] {
  const found: string[] = [];
  const walk = (path: string) => {
    for (const name of readdirSync(path)) {
      const each = join(path, name);
      const status = lstatSync(each);
      if (status.isDirectory()) walk(each);
      else if (status.isFile() && status.size > 0) found.push(relative(directory, each));
    }
  };
  walk(directory);
  return found;
}
