import type { MessageFns } from './gen/cri.ts';

/** What one message of a streamed list carries; any single item fits, whatever its size. Bytes. */
const BATCH = 1024 * 1024;

/**
 * A list in parts of about 1 MiB as encoded, since clients limit what they take at once (grpc-go to
 * 4 MiB, kubelet to 16). An empty list has no parts.
 */
export function* batches<T>(items: readonly T[], type: Pick<MessageFns<T>, 'encode'>) {
  let batch: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = type.encode(item).finish().length;
    if (batch.length > 0 && bytes + size > BATCH) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
