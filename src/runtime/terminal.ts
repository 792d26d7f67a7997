import { readSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';

/** How long a terminal that takes no more input is left alone, ms: doubled from the first on. */
const FIRST_WAIT_MS = 1;
const LONGEST_WAIT_MS = 50;

/** The most that is read at once, bytes: a line discipline holds 4,095. */
const PIECE = 4096;
/** What a pty can still hold when its process has ended, bytes: more than the kernel's 8 KiB + 4. */
const MAX_REST = 1024 * 1024;

type Done = (error?: Error | null) => void;

/**
 * A pty master, read and written.
 *
 * Input is written here and not by libuv, which takes a pty master for a file that blocks (uv_tty_init
 * cannot open it a second time) and tries again without a pause while its line discipline is full: a
 * process that reads no input would stop this whole program. The descriptor does not block, since
 * the monitor, who shares its open file, has made it so.
 *
 * Nor does libuv read one to its end: once all processes have closed the terminal (POLLHUP), a read
 * that gives less than it could take counts as the last. A pty gives 4,095 bytes at most, and may
 * hold more behind them.
 */
export class Terminal extends ReadStream {
  readonly #fd: number;

  /** Takes the descriptor over. */
  constructor(fd: number) {
    super(fd);
    this.#fd = fd;
  }

  override push(chunk: Buffer | string | null, encoding?: BufferEncoding): boolean {
    if (chunk === null && !this.destroyed) {
      for (const piece of restOf(this.#fd)) super.push(piece);
    }
    return super.push(chunk, encoding);
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this.#write(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding), FIRST_WAIT_MS, done);
  }

  override _writev(
    chunks: { chunk: Buffer | string; encoding: BufferEncoding }[],
    done: Done,
  ): void {
    const all = chunks.map(({ chunk, encoding }) =>
      Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding),
    );
    this.#write(Buffer.concat(all), FIRST_WAIT_MS, done);
  }

  /** What nobody can read any more is dropped: what its process wrote last is still to be read. */
  #write(bytes: Buffer, waitMs: number, done: Done): void {
    const written = this.destroyed ? bytes.length : tryWrite(this.#fd, bytes);
    if (written === bytes.length) done();
    else if (written === 0) {
      setTimeout(() => this.#write(bytes, Math.min(2 * waitMs, LONGEST_WAIT_MS), done), waitMs);
    } else {
      // One write a turn: much input must not keep the event loop.
      setImmediate(() => this.#write(bytes.subarray(written), FIRST_WAIT_MS, done));
    }
  }
}

/** How much was taken: nothing by a terminal that is full, all where there is none any more. */
function tryWrite(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 0 : bytes.length;
  }
}

/** What is still in a terminal that all processes have closed; reading ends with EIO then. */
function* restOf(fd: number): Generator<Buffer> {
  for (let size = 0; size < MAX_REST; ) {
    const piece = Buffer.allocUnsafe(PIECE);
    let count = 0;
    try {
      count = readSync(fd, piece);
    } catch {
      // EIO, or EAGAIN where a process has opened it again.
    }
    if (count === 0) return;
    size += count;
    yield piece.subarray(0, count);
  }
}
