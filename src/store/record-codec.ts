import { seccompFromText, seccompToText } from './seccomp-text.ts';
import type { Codec } from './table.ts';
import type { ContainerRecord, SandboxRecord } from './types.ts';

type Kind = 'string' | 'bigint' | 'object' | 'number';

/**
 * A codec that takes plain data as it is, provided the fields that everything relies on are there.
 * Those that are bigints are written as decimal text, since JSON without bigints is encoded faster.
 */
function checked<T extends object>(fields: { [K in keyof T]?: Kind }): Codec<T> {
  const kinds = Object.entries(fields) as [string, Kind][];
  const times = kinds.filter(([, kind]) => kind === 'bigint').map(([field]) => field);
  return {
    version: 1,
    encode: (value) => timesToText(value, times),
    decode: (data) => {
      const record = timesFromText(data, times);
      for (const [field, kind] of kinds) {
        const actual = record[field] === null ? 'null' : typeof record[field];
        if (actual !== kind) throw new TypeError(`${field} is ${actual}, not ${kind}`);
      }
      return record as T;
    },
  };
}

/** A copy in which the named fields are decimal text. */
export function timesToText(value: object, times: readonly string[]): Record<string, unknown> {
  const copy: Record<string, unknown> = { ...value };
  for (const field of times) copy[field] = String(copy[field]);
  return copy;
}

/** The reverse. Throws TypeError on what is no object, or has something else in such a field. */
export function timesFromText(data: unknown, times: readonly string[]): Record<string, unknown> {
  if (typeof data !== 'object' || data === null) throw new TypeError('not an object');
  const copy: Record<string, unknown> = { ...data };
  for (const field of times) {
    const text = copy[field];
    if (typeof text !== 'string' || !/^-?\d+$/.test(text))
      throw new TypeError(`${field} is no time`);
    copy[field] = BigInt(text);
  }
  return copy;
}

export const sandboxRecordCodec: Codec<SandboxRecord> = checked<SandboxRecord>({
  id: 'string',
  name: 'string',
  config: 'object',
  createdAt: 'bigint',
  cgroupPath: 'string',
  bootId: 'string',
  stoppedAt: 'bigint',
});

const plainContainer: Codec<ContainerRecord> = checked<ContainerRecord>({
  id: 'string',
  name: 'string',
  sandboxId: 'string',
  config: 'object',
  imageId: 'string',
  createdAt: 'bigint',
  cgroupPath: 'string',
  stopSignal: 'string',
  spec: 'object',
});

/** The seccomp profile is text; in version 1 it was an object like the rest. */
export const containerRecordCodec: Codec<ContainerRecord> = {
  version: 2,
  reads: [1, 2],
  encode(record) {
    const { seccomp } = record.spec.linux;
    return plainContainer.encode(
      seccomp === undefined ? record : (withSeccomp(record, seccompToText(seccomp)) as never),
    );
  },
  decode(data, version) {
    const record = plainContainer.decode(data, version);
    const seccomp: unknown = record.spec.linux?.seccomp;
    if (seccomp === undefined) return record;
    const text = version === 1 ? seccompToText(seccomp as never) : seccomp;
    if (typeof text !== 'string') throw new TypeError('spec.linux.seccomp is no text');
    return withSeccomp(record, seccompFromText(text)) as ContainerRecord;
  },
};

function withSeccomp(record: ContainerRecord, seccomp: unknown): object {
  const { spec } = record;
  return { ...record, spec: { ...spec, linux: { ...spec.linux, seccomp } } };
}
