import type { ImageConfig } from '../spec/config.ts';
import type { Digest } from './digest.ts';

/** One image: a configuration blob and the layers it names, under any number of names. */
export interface ImageRecord {
  /** The digest of the configuration blob. */
  id: Digest;
  /** "docker.io/library/busybox:latest" */
  tags: string[];
  /** "docker.io/library/busybox@sha256:…", the digest of the manifest or index pulled. */
  digests: string[];
  /** Every blob that the names lead to: indexes, manifests, configuration, layers. */
  blobs: Digest[];
  /** Chain ids of the layers, lowest first. */
  chain: Digest[];
  /** Bytes of the manifest's blobs as stored. */
  size: number;
  config: ImageConfig;
  architecture: string;
  os: string;
  /** Unix time in ms. */
  pulledAt: number;
  /** Removed while containers used its layers: invisible, and collected with the last of them. */
  removed: boolean;
}

/** One unpacked layer, on top of particular layers below. */
export interface LayerRecord {
  chainId: Digest;
  diffId: Digest;
  /** The layer below; null for the lowest. */
  parent: Digest | null;
  /** Name of its directory under `layers/`: short, since overlay mounts list them all. */
  directory: number;
  /** Bytes that the disk has allocated for its directory, and the inodes in there. */
  size: number;
  inodes: number;
}

/** The part of a table of src/store that images need. */
export interface MetadataTable<T> {
  get(key: string): T | undefined;
  entries(): Iterable<[string, T]>;
  /** Resolves when committed. */
  put(key: string, value: T): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The part of src/store's Store that images need. */
export interface MetadataStore {
  table<T>(name: string): MetadataTable<T>;
  /** Commits the puts and removes of any tables that `fn` makes as one. */
  transact(fn: () => void): Promise<void>;
  /** Resolves when what was committed is durable. */
  flushed(): Promise<void>;
}

/** Image and layer records. Keys are image ids and chain ids. */
export interface ImageMetadata {
  readonly images: MetadataTable<ImageRecord>;
  readonly layers: MetadataTable<LayerRecord>;
  transact(fn: () => void): Promise<void>;
  durable(): Promise<void>;
}

export function imageMetadata(store: MetadataStore): ImageMetadata {
  return {
    images: store.table<ImageRecord>('images'),
    layers: store.table<LayerRecord>('layers'),
    transact: (fn) => store.transact(fn),
    durable: () => store.flushed(),
  };
}
