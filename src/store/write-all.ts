import { write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

const writeSome = promisify(write);

/** Writes all of `bytes` at `position` or throws what write(2) does; part may be written then. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

/** The same by a thread, for a disk that may hang. */
export async function writeAside(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    done += (await writeSome(fd, bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
