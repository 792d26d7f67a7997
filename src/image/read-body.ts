import { CoracleError } from '../errors.ts';

/** Chunks as one buffer. Throws FailedPrecondition where they have more than `limit` bytes. */
export async function readBody(
  chunks: AsyncIterable<Buffer>,
  limit: number,
  what: string,
): Promise<Buffer> {
  const kept: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > limit) {
      throw new CoracleError('FailedPrecondition', `${what}: more than ${limit} bytes`);
    }
    kept.push(chunk);
  }
  return Buffer.concat(kept);
}
