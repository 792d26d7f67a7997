import { join } from 'node:path';
import { LmdbBackend } from './lmdb-backend.ts';
import { MemoryStore } from './memory-store.ts';
import type { Store, StoreProblem } from './store.ts';

export interface OpenStoreOptions {
  /** Called once for each record that could not be read. */
  onProblem?: (problem: StoreProblem) => void;
}

/** Opens the store of a root directory (`<root>/meta/`). */
export async function openStore(root: string, options: OpenStoreOptions = {}): Promise<Store> {
  const backend = new LmdbBackend(join(root, 'meta'));
  return new MemoryStore(backend, options.onProblem);
}
