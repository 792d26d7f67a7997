import * as v from 'valibot';
import { CoracleError } from '../errors.ts';
import { type Digest, isDigest } from './digest.ts';

/** Media types of OCI image specification 1.1 and of Docker's schema 2. */
export const MediaType = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

export const manifestTypes: readonly string[] = [
  MediaType.ociIndex,
  MediaType.ociManifest,
  MediaType.dockerIndex,
  MediaType.dockerManifest,
];

/** A manifest larger than this is refused before it is read (distribution spec: 4 MiB). */
export const MAX_MANIFEST_BYTES = 4 << 20;
export const MAX_CONFIG_BYTES = 8 << 20;
/** Overlay mounts at most 500 lower directories (fs/overlayfs/params.h). */
export const MAX_LAYERS = 500;

const digest = v.custom<Digest>(
  (value) => typeof value === 'string' && isDigest(value),
  'is not a sha256 digest',
);
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.optional(v.nullable(v.string()));
const descriptorSchema = v.object({
  mediaType: v.optional(v.string(), ''),
  digest,
  size,
  annotations: v.nullish(v.record(v.string(), v.string())),
});
const indexSchema = v.object({
  schemaVersion: v.literal(2),
  manifests: v.array(
    v.object({
      ...descriptorSchema.entries,
      platform: v.nullish(v.object({ os: v.string(), architecture: v.string(), variant: text })),
    }),
  ),
});
const manifestSchema = v.object({
  schemaVersion: v.literal(2),
  config: descriptorSchema,
  layers: v.pipe(v.array(descriptorSchema), v.maxLength(MAX_LAYERS)),
});

export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes. */
  size: number;
  annotations?: Record<string, string>;
}

export interface IndexEntry extends Descriptor {
  platform?: { os: string; architecture: string; variant?: string };
}

export interface Manifest {
  kind: 'manifest';
  config: Descriptor;
  /** Lowest first. */
  layers: Descriptor[];
}

export interface Index {
  kind: 'index';
  manifests: IndexEntry[];
}

/** Runs a valibot schema over JSON text; `what` names the document in the DataLoss error. */
export function parseJson<S extends v.GenericSchema>(
  schema: S,
  bytes: Uint8Array,
  what: string,
): v.InferOutput<S> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new CoracleError('DataLoss', `${what} is not JSON`, { cause: error });
  }
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue) ?? '';
  throw new CoracleError('DataLoss', `${what}: ${path ? `${path}: ` : ''}${issue.message}`);
}

/**
 * Reads a manifest or an index; which one it is shows in its members, since the media type may be
 * missing inside and wrong outside. Throws DataLoss for what is neither, Unimplemented for Docker
 * schema 1 and for things in a registry that are no container images.
 */
export function parseManifest(bytes: Uint8Array, what: string): Manifest | Index {
  const shape = parseJson(v.looseObject({ schemaVersion: v.optional(v.number()) }), bytes, what);
  if (shape.schemaVersion === 1) {
    throw new CoracleError('Unimplemented', `${what}: Docker image schema 1 is not supported`);
  }
  if (Array.isArray(shape.manifests)) {
    const index = parseJson(indexSchema, bytes, what);
    return { kind: 'index', manifests: index.manifests.map(indexEntry) };
  }
  const manifest = parseJson(manifestSchema, bytes, what);
  const type = manifest.config.mediaType;
  if (type !== '' && type !== MediaType.ociConfig && type !== MediaType.dockerConfig) {
    throw new CoracleError(
      'Unimplemented',
      `${what} is not a container image (its config is of type ${JSON.stringify(type)})`,
    );
  }
  return {
    kind: 'manifest',
    config: descriptor(manifest.config),
    layers: manifest.layers.map(descriptor),
  };
}

function descriptor(raw: v.InferOutput<typeof descriptorSchema>): Descriptor {
  const made: Descriptor = { mediaType: raw.mediaType, digest: raw.digest, size: raw.size };
  if (raw.annotations) made.annotations = raw.annotations;
  return made;
}

function indexEntry(raw: v.InferOutput<typeof indexSchema>['manifests'][number]): IndexEntry {
  const made: IndexEntry = descriptor(raw);
  if (raw.platform) {
    const { os, architecture, variant } = raw.platform;
    made.platform = variant ? { os, architecture, variant } : { os, architecture };
  }
  return made;
}
