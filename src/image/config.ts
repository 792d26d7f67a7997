import * as v from 'valibot';
import { CoracleError } from '../errors.ts';
import type { ImageConfig } from '../spec/config.ts';
import type { Digest } from './digest.ts';
import { isDigest } from './digest.ts';
import { parseJson } from './manifest.ts';
import type { Platform } from './platform.ts';

/** What an image's configuration blob says, in full. */
export interface ImageDocument {
  config: ImageConfig;
  platform: Platform;
  /** Digests of the uncompressed layers, lowest first. */
  diffIds: Digest[];
}

const text = v.nullish(v.string(), '');
const list = v.nullish(v.array(v.string()), []);
// Docker writes null for what is empty, and other builders leave it out.
const schema = v.object({
  os: text,
  architecture: text,
  variant: text,
  config: v.nullish(
    v.object({
      User: text,
      Env: list,
      Entrypoint: list,
      Cmd: list,
      WorkingDir: text,
      Volumes: v.nullish(v.record(v.string(), v.unknown()), {}),
      StopSignal: text,
      Labels: v.nullish(v.record(v.string(), v.string()), {}),
    }),
  ),
  rootfs: v.object({
    type: v.literal('layers'),
    diff_ids: v.nullish(v.array(v.string()), []),
  }),
});

/** Parses a configuration blob (OCI image specification 1.1, config.md). Throws DataLoss. */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageDocument {
  const raw = parseJson(schema, bytes, what);
  const diffIds = raw.rootfs.diff_ids.map((id) => {
    if (!isDigest(id)) {
      throw new CoracleError('DataLoss', `${what}: diff id ${JSON.stringify(id)} is no digest`);
    }
    return id;
  });
  const config = raw.config;
  return {
    config: {
      user: config?.User ?? '',
      env: config?.Env ?? [],
      entrypoint: config?.Entrypoint ?? [],
      cmd: config?.Cmd ?? [],
      workingDir: config?.WorkingDir ?? '',
      volumes: Object.keys(config?.Volumes ?? {}).sort(),
      stopSignal: config?.StopSignal ?? '',
      labels: config?.Labels ?? {},
    },
    platform: {
      os: raw.os,
      architecture: raw.architecture,
      ...(raw.variant ? { variant: raw.variant } : {}),
    },
    diffIds,
  };
}

/** uid_t's; the highest one means "none" to the kernel. */
const MAX_UID = 2 ** 32 - 2;

/**
 * The user that the image asks for, as CRI wants it: a number where it is one that a user can have,
 * else a name. The group after the colon is not part of it.
 */
export function imageUser(user: string): { uid: number | undefined; username: string } {
  const name = user.split(':', 1)[0] ?? '';
  return /^[0-9]+$/.test(name) && Number(name) <= MAX_UID
    ? { uid: Number(name), username: '' }
    : { uid: undefined, username: name };
}
