import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupLayout } from './layout.ts';
import { cgroupDirs } from './paths.ts';

/**
 * The paths of all cgroups with one of these names, below whatever parents they are. Reads every
 * directory of every hierarchy: for what a crash left, whose parent nobody knows any more.
 */
export function findCgroups(layout: CgroupLayout, names: ReadonlySet<string>): string[] {
  const found = new Set<string>();
  if (names.size === 0) return [];
  for (const root of cgroupDirs(layout, '/')) search(root, '/', names, found);
  return [...found];
}

function search(root: string, path: string, names: ReadonlySet<string>, found: Set<string>): void {
  for (const name of childrenOf(join(root, path))) {
    if (names.has(name)) found.add(join(path, name));
    else search(root, join(path, name), names, found);
  }
}

function childrenOf(dir: string): string[] {
  try {
    const entries = readdirSync(dir, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch {
    // It went meanwhile.
    return [];
  }
}
