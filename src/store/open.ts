import { join } from 'node:path';
import type { Backend } from './backend.ts';
import { openEngine } from './engine.ts';
import { Journal } from './journal.ts';
import { MemoryStore } from './memory-store.ts';
import type { Store, StoreProblem } from './store.ts';

export interface OpenStoreOptions {
  /** Called once for each record, or file, that could not be read. */
  onProblem?: (problem: StoreProblem) => void;
}

/** LMDB, which is durable, behind a journal, which is committed: the files of `directory`. */
export async function openBackend(
  directory: string,
): Promise<{ backend: Backend; problems: readonly StoreProblem[] }> {
  const { backend: engine, incomplete, problems } = await openEngine(directory);
  try {
    const journal = new Journal(directory, engine, incomplete);
    // What was put together from ruins is not to be put together again. A full disk must wait.
    if (incomplete || journal.problems.length > 0) await journal.drained().catch(() => {});
    return { backend: journal, problems: [...problems, ...journal.problems] };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/**
 * Opens the store of a root directory (`<root>/meta/`). What is damaged there is set aside and told
 * as a problem; it is no error. One process at a time: take the lock of the root first (`lockRoot`).
 */
export async function openStore(root: string, options: OpenStoreOptions = {}): Promise<Store> {
  const { backend, problems } = await openBackend(join(root, 'meta'));
  return new MemoryStore(backend, options.onProblem, problems);
}
