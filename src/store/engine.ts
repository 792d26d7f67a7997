import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CoracleError, messageOf } from '../errors.ts';
import { failpoint } from '../failpoint.ts';
import type { Change } from './backend.ts';
import { LmdbBackend } from './lmdb-backend.ts';
import { readLmdbFile } from './lmdb-file.ts';
import { isLostByDisk } from './lost-by-disk.ts';
import { type Damaged, quarantineRow } from './quarantine.ts';
import { unseal } from './seal.ts';
import type { StoreProblem } from './store.ts';

export interface Engine {
  readonly backend: LmdbBackend;
  /** What the file had been told may not all be in it any more. */
  readonly incomplete: boolean;
  readonly problems: readonly StoreProblem[];
}

/** How many of the faults of a file are told. */
const TOLD = 5;

/**
 * Opens LMDB's file in `directory`, made if it is missing. LMDB believes what it reads, so the file
 * is looked through first, and one that is damaged is replaced: what of it is whole goes into a new
 * one, and the damaged one stays beside it, as `data.mdb.damaged-<time>`, for whoever wants to know.
 * Throws what open(2) does where it cannot be read for now, and write(2) where no new one can be made.
 */
export async function openEngine(directory: string): Promise<Engine> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, 'data.mdb');
  if (!existsSync(path)) {
    await replace(path, []);
    return { backend: new LmdbBackend(directory), incomplete: true, problems: [] };
  }
  const { whole, broken, damage } = inspect(path);
  if (damage.length === 0 && broken.length === 0) {
    try {
      return { backend: new LmdbBackend(directory), incomplete: false, problems: [] };
    } catch (error) {
      damage.push(messageOf(error));
    }
  }
  const aside = `${path}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  linkSync(path, aside);
  await replace(path, [...whole, ...broken.map(quarantineRow)]);
  const file: StoreProblem = {
    table: '',
    key: path,
    outcome: 'rebuilt',
    error: new CoracleError(
      'DataLoss',
      `${path} is damaged (${told([...damage, ...broken.map(({ error }) => error)])}); ` +
        `${whole.length} of its records are whole and were kept, the file as it was is ${aside}`,
    ),
  };
  const records = broken.map(({ table, key, error }): StoreProblem => {
    return { table, key, outcome: 'quarantined', error: new CoracleError('DataLoss', error) };
  });
  return { backend: new LmdbBackend(directory), incomplete: true, problems: [file, ...records] };
}

/** The name of a damaged file that was replaced, in the directory of the engine. */
export function isDamagedFile(name: string): boolean {
  return name.startsWith('data.mdb.damaged-');
}

function inspect(place: string): { whole: Change[]; broken: Damaged[]; damage: string[] } {
  const whole: Change[] = [];
  const broken: Damaged[] = [];
  let file: Buffer;
  try {
    failpoint('lmdb.read');
    file = readFileSync(place);
  } catch (error) {
    if (!isLostByDisk(error)) throw error;
    return { whole, broken, damage: [messageOf(error)] };
  }
  const { entries, damage } = readLmdbFile(file);
  for (const [path, bytes] of entries) {
    if (unseal(path, bytes) !== undefined) {
      whole.push({ key: path, value: bytes });
      continue;
    }
    const slash = path.indexOf('/');
    const [table, key] = [path.slice(0, Math.max(0, slash)), path.slice(slash + 1)];
    broken.push({ table, key, error: `${path}: not the bytes that were written`, bytes });
  }
  return { whole, broken, damage };
}

/**
 * Puts a new file in the place of `path`, whole and durable from its first moment: what LMDB makes
 * by itself is neither until its first commit.
 */
async function replace(path: string, entries: readonly Change[]): Promise<void> {
  const scratch = join(dirname(path), 'new');
  rmSync(scratch, { recursive: true, force: true });
  const engine = new LmdbBackend(scratch);
  try {
    if (entries.length > 0) await engine.commit(entries);
  } finally {
    await engine.close();
  }
  const made = join(scratch, basename(path));
  syncPath(made);
  renameSync(made, path);
  syncPath(dirname(path));
  rmSync(scratch, { recursive: true, force: true });
}

/** Makes a file's bytes, or a directory's names, durable. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function told(faults: readonly string[]): string {
  const rest = faults.length - TOLD;
  return faults.slice(0, TOLD).join('; ') + (rest > 0 ? `; and ${rest} more` : '');
}
