import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory with those above it; one that is there is no error. Rejects as mkdir(2) does.
 *
 * What Node.js has for this tries for ever where a file system takes no new directories and says
 * ENOENT, as procfs does, and paths come from whoever asks for a mount.
 */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    return await makeOne(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error;
    await makeDirectory(parent, mode);
  }
  await makeOne(path, mode);
}

async function makeOne(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const there = (error as NodeJS.ErrnoException).code === 'EEXIST';
    if (!there || !(await stat(path).catch(() => undefined))?.isDirectory()) throw error;
  }
}
