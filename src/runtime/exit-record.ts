import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { failpoint } from '../failpoint.ts';

/** How a container ended, as its monitor wrote it (native/plan/exit_record.h). */
export interface ExitRecord {
  exitCode: number;
  signal: number;
  pid: number;
  startedAt: bigint;
  finishedAt: bigint;
}

const MAGIC = 0x54495845;
const SIZE = 48;

/** Errors that pass, as a table of descriptors that is full does. */
const PASSING = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EAGAIN', 'EINTR']);
/** Pauses between attempts, ms; 2.5 s in all. */
const FIRST_PAUSE = 10;
const LAST_PAUSE = 1_280;

/** The names in an exit directory that are a container's: that of its record, and of a new one. */
export function exitRecordNames(id: string): [string, string] {
  return [id, `.${id}.new`];
}

/** The container whose name in an exit directory that is. */
export function exitRecordId(name: string): string {
  return name.replace(/^\.(.*)\.new$/, '$1');
}

/**
 * Reads the record of a container; undefined where there is none or it is damaged. A monitor that
 * died just before it gave the record its name has left it whole under the other one.
 */
export async function readExitRecord(dir: string, id: string): Promise<ExitRecord | undefined> {
  const [whole, unnamed] = exitRecordNames(id);
  return (await read(join(dir, whole))) ?? (await read(join(dir, unnamed)));
}

/** One that is there must not be taken for none because of an error that passes (G-10). */
async function read(path: string): Promise<ExitRecord | undefined> {
  for (let pause = FIRST_PAUSE; ; pause *= 2) {
    try {
      await failpoint('exit-record.read');
      return decodeExitRecord(await readFile(path));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!PASSING.has(code ?? '') || pause > LAST_PAUSE) return undefined;
      await sleep(pause);
    }
  }
}

export function decodeExitRecord(bytes: Buffer): ExitRecord | undefined {
  if (bytes.length !== SIZE || bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(4) !== 1) {
    return undefined;
  }
  let sum = 0;
  for (let place = 0; place < SIZE - 4; place += 1) {
    sum = (sum + (bytes[place] ?? 0) * (place + 1)) >>> 0;
  }
  if (sum !== bytes.readUInt32LE(SIZE - 4)) return undefined;
  return {
    ...decodeWaitStatus(bytes.readInt32LE(8)),
    pid: bytes.readUInt32LE(12),
    startedAt: bytes.readBigUInt64LE(16),
    finishedAt: bytes.readBigUInt64LE(24),
  };
}

/** A wait status (exit code << 8, or a signal) as a shell shows it: 128 + n for signal n. */
export function decodeWaitStatus(status: number): { exitCode: number; signal: number } {
  const signal = status & 0x7f;
  return signal === 0
    ? { exitCode: (status >> 8) & 0xff, signal }
    : { exitCode: 128 + signal, signal };
}
