import { join } from 'node:path';
import { Journal } from './journal.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryStore } from './memory-store.ts';
import type { Store, StoreProblem } from './store.ts';

export interface OpenStoreOptions {
  /** Called once for each record that could not be read. */
  onProblem?: (problem: StoreProblem) => void;
}

/**
 * Opens the store of a root directory (`<root>/meta/`): LMDB, which is durable, behind a journal,
 * which is committed. One process at a time: take the lock of the root first (`lockRoot`).
 */
export async function openStore(root: string, options: OpenStoreOptions = {}): Promise<Store> {
  const directory = join(root, 'meta');
  const engine = new LmdbBackend(directory);
  try {
    return new MemoryStore(new Journal(directory, engine), options.onProblem);
  } catch (error) {
    await engine.close();
    throw error;
  }
}
