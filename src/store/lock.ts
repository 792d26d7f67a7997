import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoracleError } from '../errors.ts';

export interface RootLock {
  /** Gives the lock up; idempotent. The kernel does so when the process dies. */
  release(): Promise<void>;
}

/** flock(1) exits with this status where the lock is held (-E, which busybox lacks, sets another). */
const HELD = 1;
/**
 * A process that is killed while it starts another leaves its descriptors to that one until it
 * execs: how long a lock is asked for again, ms, and how often.
 */
const PATIENCE = 1_000;
const PAUSE = 20;

/**
 * Takes the exclusive lock of a root directory. Throws FailedPrecondition, reason RootInUse, naming
 * the holder's pid, if another process, or this one, holds it already; Unavailable if flock(1) is
 * missing or fails.
 *
 * Node has no flock(2). The lock belongs to the open file description, though, and flock(1) of
 * util-linux or busybox takes it on the one it inherits; it stays with ours when flock(1) has
 * ended, and goes with the last descriptor, however this process ends. Nothing can be stale, and
 * neither pid nor network namespaces matter. The pid in the file serves the error message alone.
 */
export async function lockRoot(root: string): Promise<RootLock> {
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const path = join(root, 'lock');
  let fd: number | undefined = openSync(path, 'a+', 0o600);
  const close = () => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  try {
    const until = performance.now() + PATIENCE;
    while (!tryLock(path, fd)) {
      if (performance.now() > until) throw inUse(root, path);
      await sleep(PAUSE);
    }
    note(fd);
  } catch (error) {
    close();
    throw error;
  }
  return {
    release: async () => {
      close();
    },
  };
}

/** False where another has it. */
function tryLock(path: string, fd: number): boolean {
  const result = spawnSync('flock', ['-x', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    encoding: 'utf8',
  });
  if (result.error !== undefined) {
    throw new CoracleError('Unavailable', `lock ${path}: flock(1): ${result.error.message}`, {
      cause: result.error,
    });
  }
  if (result.status === HELD) return false;
  if (result.status === 0) return true;
  throw new CoracleError('Unavailable', `lock ${path}: flock(1): ${result.stderr.trim()}`);
}

function inUse(root: string, path: string): CoracleError {
  const holder = readFileSync(path, 'utf8').trim();
  const who = holder === '' ? 'another process' : `process ${holder}`;
  return new CoracleError('FailedPrecondition', `${root} is in use by ${who}`, {
    reason: 'RootInUse',
  });
}

/** A full disk leaves the note empty, and the lock as good. */
function note(fd: number): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`);
  } catch {}
}
