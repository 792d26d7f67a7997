import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { CoracleError, isExhausted, messageOf, throwIfAborted } from '../errors.ts';
import type { LayerSource, NativeError } from '../native/types.ts';
import type { ContentStore } from './content-store.ts';
import { chainIds, type Digest, hexOf } from './digest.ts';
import { isDiskFull } from './disk-error.ts';
import { Gate } from './gate.ts';
import type { LayerRecord } from './image-store.ts';
import { InFlight } from './in-flight.ts';
import type { ImageAddon, LayerDirectories } from './layers.ts';
import type { Leases } from './leases.ts';
import type { PullTracker } from './pull-tracker.ts';

/** A layer's unpacked tree: at most 64 GiB, and 4 million entries. */
const MAX_LAYER_BYTES = 64n << 30n;
const MAX_LAYER_ENTRIES = 4_000_000;

export interface StackLayer {
  diffId: Digest;
  /** Resolves with the blob once the content store has it. */
  blob: Promise<Digest>;
}

interface Piece {
  readonly chainId: Digest;
  readonly diffId: Digest;
  readonly blob: Digest;
  /** Chain ids of the layers below, lowest first. */
  readonly below: readonly Digest[];
  /** For messages. */
  readonly what: string;
}

/** Unpacks stacks of layers; the same layer wanted twice at once is unpacked once. */
export class Unpacker {
  readonly #content: ContentStore;
  readonly #layers: LayerDirectories;
  readonly #leases: Leases;
  readonly #native: ImageAddon;
  readonly #inFlight = new InFlight<LayerRecord>();
  /** It is the processors that limit unpacking; more at once only take memory. */
  readonly #gate = new Gate(Math.max(2, availableParallelism()));

  constructor(content: ContentStore, layers: LayerDirectories, leases: Leases, native: ImageAddon) {
    this.#content = content;
    this.#layers = layers;
    this.#leases = leases;
    this.#native = native;
  }

  /**
   * Makes every layer of the stack (lowest first) that is not there yet, each as soon as its blob
   * and the layers below it are. The caller holds leases on all chain ids. Throws DataLoss where a
   * layer is damaged or is not what the image's configuration says it is.
   */
  async unpack(
    stack: readonly StackLayer[],
    what: string,
    signal?: AbortSignal,
    tracker?: PullTracker,
  ): Promise<void> {
    const chain = chainIds(stack.map((layer) => layer.diffId));
    for (const [index, { diffId, blob }] of stack.entries()) {
      throwIfAborted(signal);
      const chainId = chain[index] as Digest;
      const below = chain.slice(0, index);
      const piece: Piece = { chainId, diffId, blob: await blob, below, what };
      const known = this.#layers.get(chainId) !== undefined;
      if (!known) {
        tracker?.layer(index, 'unpacking');
        await this.#make(piece, signal);
      }
      tracker?.layer(index, known ? 'known' : 'done');
    }
  }

  /** Stops what is under way and resolves when nothing of it is left. */
  drain(reason: Error): Promise<void> {
    return this.#inFlight.drain(reason);
  }

  /** The same layer may come from another image's blob; if that is damaged, ours may still do. */
  async #make(piece: Piece, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      let own = false;
      const start = (shared: AbortSignal, before: Promise<void>) => {
        own = true;
        return this.#leased(piece, shared, before);
      };
      try {
        // A pull that fails looks at what it leaves: nothing of it may still be at work then.
        await this.#inFlight.run(piece.chainId, signal, start, { linger: true });
        return;
      } catch (error) {
        const damaged = error instanceof CoracleError && error.kind === 'DataLoss';
        if (own || !damaged) throw error;
      }
    }
  }

  /**
   * Whoever started this may give up while others wait for it: their leases do not cover his blob,
   * so the work has leases of its own. They are taken before anything is awaited.
   */
  async #leased(piece: Piece, signal: AbortSignal, before: Promise<void>): Promise<LayerRecord> {
    const lease = this.#leases.open();
    for (const key of [piece.blob, piece.chainId, ...piece.below]) lease.add(key);
    try {
      await before;
      return await this.#gate.run(signal, () => this.#unpackOne(piece, signal));
    } finally {
      lease.end();
    }
  }

  async #unpackOne(piece: Piece, signal: AbortSignal): Promise<LayerRecord> {
    const { chainId, diffId, blob, below, what } = piece;
    const known = this.#layers.get(chainId);
    if (known !== undefined) return known;
    const path = this.#content.path(blob);
    const compression = await detectCompression(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw this.#content.distrust(blob, 'is gone from the disk');
      throw error;
    });
    const parents = below.toReversed().map((id) => {
      const record = this.#layers.get(id);
      if (record === undefined) throw new CoracleError('Internal', `layer ${id} is gone`);
      return this.#layers.path(record.directory);
    });
    return this.#layers.make(async (target, work) => {
      const result = await this.#native
        .applyLayer(
          {
            blob: path,
            compression,
            target,
            work,
            parents,
            maxBytes: MAX_LAYER_BYTES,
            maxEntries: MAX_LAYER_ENTRIES,
          },
          signal,
        )
        .catch((error: unknown) => {
          throwIfAborted(signal);
          const failure = layerError(error, blob, what);
          // It may be the disk that changed the blob, and then another pull must bring it anew.
          if (failure.kind === 'DataLoss') this.#content.distrust(blob, failure.message);
          throw failure;
        });
      if (result.digest !== hexOf(blob)) {
        throw this.#content.distrust(blob, 'has changed on disk');
      }
      if (result.diffId !== hexOf(diffId)) {
        throw new CoracleError(
          'DataLoss',
          `${what}: layer ${blob} unpacks to sha256:${result.diffId}, not ${diffId}`,
        );
      }
      return {
        chainId,
        diffId,
        parent: below.at(-1) ?? null,
        size: Number(result.size),
        inodes: result.entries,
      };
    });
  }
}

/** By the first bytes: media types are wrong too often ("docker save" says nothing at all). */
export async function detectCompression(path: string): Promise<LayerSource['compression']> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (bytesRead >= 2 && buffer[0] === 0x1f && buffer[1] === 0x8b) return 'gzip';
    if (bytesRead < 4) return 'none';
    const magic = buffer.readUInt32LE(0);
    // A frame, or a skippable one, with which pzstd begins (RFC 8878, 3.1).
    return magic === 0xfd2fb528 || magic >>> 4 === 0x184d2a5 ? 'zstd' : 'none';
  } finally {
    await file.close();
  }
}

const NAME_ERRORS = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL', 'EPERM']);

function layerError(error: unknown, blob: Digest, what: string): CoracleError {
  const native = error as Partial<NativeError>;
  const full = isDiskFull(native.code);
  const exhausted = full || isExhausted(native.code);
  // The data is at fault where no system call failed, where it went too far, or where a name inside
  // the tree could not be made: those names are relative.
  const inside = native.path !== undefined && !native.path.startsWith('/');
  const data =
    native.errno === 0 || native.code === 'EFBIG' || (inside && NAME_ERRORS.has(native.code ?? ''));
  return new CoracleError(
    exhausted ? 'ResourceExhausted' : data ? 'DataLoss' : 'Internal',
    `${what}: layer ${blob}: ${messageOf(error)}`,
    full ? { cause: error, reason: 'DiskFull' } : { cause: error },
  );
}
