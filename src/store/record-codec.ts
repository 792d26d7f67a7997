import type { Codec } from './table.ts';
import type { ContainerRecord, SandboxRecord } from './types.ts';

type Kind = 'string' | 'bigint' | 'object' | 'number';

/** A codec that takes plain data as it is, provided the fields that everything relies on are there. */
function checked<T>(fields: { [K in keyof T]?: Kind }): Codec<T> {
  return {
    version: 1,
    encode: (value) => value,
    decode: (data) => {
      if (typeof data !== 'object' || data === null) throw new TypeError('not an object');
      for (const [field, kind] of Object.entries(fields)) {
        const value: unknown = (data as Record<string, unknown>)[field];
        const actual = value === null ? 'null' : typeof value;
        if (actual !== kind) throw new TypeError(`${field} is ${actual}, not ${String(kind)}`);
      }
      return data as T;
    },
  };
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

export const containerRecordCodec: Codec<ContainerRecord> = checked<ContainerRecord>({
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
