import type { Digest } from './digest.ts';

/** How far one layer is. */
export interface LayerProgress {
  /** Of its blob. */
  readonly digest: Digest;
  /**
   * 'waiting' for its turn; 'fetching' from the registry; 'fetched' and verified; 'unpacking';
   * 'done'; 'exists' where nothing had to be done.
   */
  readonly state: 'waiting' | 'fetching' | 'fetched' | 'unpacking' | 'done' | 'exists';
  /** Bytes of its blob, and how many of them are here. */
  readonly size: number;
  readonly fetched: number;
}

/** How far a pull is. A snapshot. */
export interface PullProgress {
  /** Blobs of the image and how many of them are here. */
  readonly blobs: number;
  readonly blobsDone: number;
  /** Bytes. Known blobs count as done from the start. */
  readonly bytes: number;
  readonly bytesDone: number;
  /** Lowest first. */
  readonly layers: readonly LayerProgress[];
}
