import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncate,
  ftruncateSync,
  openSync,
  readFileSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { failpoint } from '../failpoint.ts';
import { mayUseReserve } from './backend.ts';
import { decodeFrames, encodeFrame, type Frame, type PlacedFrame } from './journal-frame.ts';
import { isLostByDisk } from './lost-by-disk.ts';
import { writeAll, writeAside } from './write-all.ts';

/** Bytes that are allotted beforehand, so that frames within them need no new space. */
const ALLOTTED = 128 * 1024;
/** The part of them that is kept for commits which free space. */
const RESERVE = 64 * 1024;

const dataSync = promisify(fdatasync);
const truncateAside = promisify(ftruncate);

/** A file of frames that is written from the start, over what is no longer needed. */
export class JournalFile {
  readonly path: string;
  readonly found: readonly PlacedFrame[] = [];
  /** Why nothing was found, where the disk did not give the file back. */
  readonly unreadable: unknown;
  readonly #fd: number;
  #end = 0;
  #size = 0;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      failpoint('journal.read');
      this.found = decodeFrames(readFileSync(path));
    } catch (error) {
      if (!isLostByDisk(error)) {
        closeSync(this.#fd);
        throw error;
      }
      this.unreadable = error;
    }
  }

  /** Bytes of frames. */
  get length(): number {
    return this.#end;
  }

  get empty(): boolean {
    return this.#end === 0;
  }

  /**
   * Keeps the frames after `applied` and up to `sequence`, and wipes the rest, durably: a frame that
   * was passed over must not be taken for the successor of one that is written now, whichever the
   * disk gets first.
   */
  keepUntil(sequence: number, applied: number): void {
    const kept = this.found.filter(
      (frame) => frame.sequence > applied && frame.sequence <= sequence,
    );
    this.#end = kept.at(-1)?.end ?? 0;
    this.#size = fstatSync(this.#fd).size;
    writeAll(this.#fd, Buffer.alloc(Math.max(0, this.#size - this.#end)), this.#end);
    try {
      this.#grow(ALLOTTED);
    } catch {
      // A full disk is no reason not to start.
    }
    fdatasyncSync(this.#fd);
  }

  /** After a write that failed half-way, the next one starts at the same place. */
  append(frame: Frame): void {
    const bytes = encodeFrame(frame);
    const end = this.#end + bytes.length;
    try {
      this.#grow(end + RESERVE);
    } catch (error) {
      if (end > this.#size || !mayUseReserve(frame.changes)) throw error;
    }
    failpoint('journal.append');
    writeAll(this.#fd, bytes, this.#end);
    this.#end = end;
  }

  /**
   * The same, for a disk that may hang: a thread waits for it, and this one goes on. One at a time,
   * and no `append` meanwhile.
   */
  async appendAside(frame: Frame): Promise<void> {
    const bytes = encodeFrame(frame);
    const end = this.#end + bytes.length;
    try {
      await this.#growAside(end + RESERVE);
    } catch (error) {
      if (end > this.#size || !mayUseReserve(frame.changes)) throw error;
    }
    await failpoint('journal.append');
    await writeAside(this.#fd, bytes, this.#end);
    this.#end = end;
  }

  /** Zeros, written: a hole would take its space later. Throws what write(2) does. */
  #grow(size: number): void {
    if (size <= this.#size) return;
    try {
      writeAll(this.#fd, Buffer.alloc(size - this.#size), this.#size);
    } catch (error) {
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size = size;
  }

  async #growAside(size: number): Promise<void> {
    if (size <= this.#size) return;
    try {
      await writeAside(this.#fd, Buffer.alloc(size - this.#size), this.#size);
    } catch (error) {
      await truncateAside(this.#fd, this.#size);
      throw error;
    }
    this.#size = size;
  }

  /** Resolves when every frame that was appended before the call is durable. */
  async sync(): Promise<void> {
    await failpoint('journal.sync');
    await dataSync(this.#fd);
  }

  rewind(): void {
    this.#end = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
