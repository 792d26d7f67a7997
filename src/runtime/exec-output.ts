import { Socket } from 'node:net';

/** Bytes kept of each stream; what follows is drained and dropped (XS-2, CVE-2022-1708). */
export const OUTPUT_LIMIT = 16 * 1024 * 1024;

/** Reads that are kept as one buffer: a command that writes byte by byte costs memory otherwise. */
const MERGED = 256;

const NOTHING = Buffer.alloc(0);

export interface Collector {
  ended: Promise<unknown>;
  bytes(): Buffer;
  close(): void;
}

/** Collects what comes of a stream, behind what is there of it; without `fd`, that is all. */
export function collect(fd: number | undefined, begun: Buffer = NOTHING): Collector {
  if (fd === undefined) return { ended: Promise.resolve(), bytes: () => begun, close: () => {} };
  const socket = new Socket({ fd, readable: true, writable: false });
  const chunks: Buffer[] = [begun];
  let recent: Buffer[] = [];
  let size = begun.length;
  socket.on('data', (chunk: Buffer) => {
    if (size >= OUTPUT_LIMIT) return;
    recent.push(chunk.subarray(0, OUTPUT_LIMIT - size));
    size += chunk.length;
    if (recent.length < MERGED) return;
    chunks.push(Buffer.concat(recent));
    recent = [];
  });
  socket.on('error', () => socket.destroy());
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return {
    ended,
    bytes: () => Buffer.concat([...chunks, ...recent]),
    close: () => socket.destroy(),
  };
}
