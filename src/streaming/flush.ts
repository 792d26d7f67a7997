import { finished, type Writable } from 'node:stream';

/** Ends a stream, and resolves once its connection has taken all of it, or is gone. */
export function flush(stream: Writable, last = ''): Promise<void> {
  return new Promise((resolve) => {
    finished(stream, { readable: false }, () => resolve());
    stream.on('error', () => {});
    if (stream.writableEnded || stream.destroyed) return;
    if (last === '') stream.end();
    else stream.end(last);
  });
}
