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

/** Resolves once the connection has taken what was written so far, or is gone. Does not end it. */
export function written(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writable) return resolve();
    stream.once('close', resolve);
    stream.write('', () => {
      stream.off('close', resolve);
      resolve();
    });
  });
}
