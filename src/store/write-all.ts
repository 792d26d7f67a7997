import { writeSync } from 'node:fs';

/** Writes all of `bytes` at `position` or throws what write(2) does; part may be written then. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}
