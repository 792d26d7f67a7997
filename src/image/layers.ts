import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { notFound } from '../errors.ts';
import { failpoint } from '../failpoint.ts';
import type { Addon } from '../native/types.ts';
import { closedDirectory } from '../store/closed-directory.ts';
import { syncDirectory } from './content-store.ts';
import type { Digest } from './digest.ts';
import { type DiskUsage, Inventory } from './disk-usage.ts';
import type { ImageMetadata, LayerRecord } from './image-store.ts';

/** What images need of the addon. */
export type ImageAddon = Pick<Addon, 'applyLayer' | 'runFileOps'>;

/** Always there and always empty: the only layer of an image that has none. */
const EMPTY = 0;

/** What a layer's directory on disk takes; `since` is Unix time in ms. */
interface OnDisk extends DiskUsage {
  since: number;
}

/**
 * Unpacked layers, shared by all images: `layers/<n>/fs`, one for each chain id. A layer counts
 * once it is recorded; a directory without a record is debris.
 */
export class LayerDirectories {
  readonly #root: string;
  readonly #metadata: ImageMetadata;
  readonly #native: ImageAddon;
  /** Directories that are taken, recorded or being made. */
  readonly #taken = new Set<number>([EMPTY]);
  /** Directories with a record, or which could not be removed yet. */
  readonly #onDisk = new Inventory<number, OnDisk>();
  /** Directories without a record that nobody works on. */
  readonly #debris = new Set<number>();
  readonly #removing = new Map<number, Promise<void>>();

  private constructor(root: string, metadata: ImageMetadata, native: ImageAddon) {
    this.#root = root;
    this.#metadata = metadata;
    this.#native = native;
  }

  /**
   * Removes directories without a record, but for those in `inUse`, and records without a
   * directory. `inUse` has paths as `stack` gives them.
   */
  static async open(
    root: string,
    metadata: ImageMetadata,
    native: ImageAddon,
    onProblem: (error: unknown) => void,
    inUse: ReadonlySet<string> = new Set(),
  ): Promise<LayerDirectories> {
    const layers = new LayerDirectories(root, metadata, native);
    await closedDirectory(join(root, 'layers'));
    await mkdir(join(root, 'layers', String(EMPTY), 'fs'), { recursive: true, mode: 0o755 });
    for (const [chainId, record] of [...metadata.layers.entries()]) {
      const since = await layers.#madeAt(record.directory);
      if (since === undefined) await metadata.layers.remove(chainId);
      else layers.#count(record, since);
    }
    for (const name of await readdir(join(root, 'layers'))) {
      const directory = Number(name);
      // What has no number of ours is not ours.
      if (String(directory) !== name || layers.#taken.has(directory)) continue;
      // Its number must not be given to another layer before it is gone.
      layers.#taken.add(directory);
      // Its record was lost, and a container still runs on it: it stays for this server's life.
      if (inUse.has(relativePath(directory))) continue;
      layers.#debris.add(directory);
    }
    await layers.removeDebris().catch(onProblem);
    return layers;
  }

  get(chainId: Digest): LayerRecord | undefined {
    return this.#metadata.layers.get(chainId);
  }

  list(): LayerRecord[] {
    return [...this.#metadata.layers.entries()].map(([, record]) => record);
  }

  /** When a layer was made, Unix time in ms. */
  since(chainId: Digest): number {
    const record = this.get(chainId);
    return (record && this.#onDisk.get(record.directory)?.since) ?? Date.now();
  }

  /** Of all layers; one that is being made counts when it is done. */
  usage(): DiskUsage {
    return { ...this.#onDisk.total };
  }

  /** Absolute path of a layer's tree. */
  path(directory: number): string {
    return join(this.#root, relativePath(directory));
  }

  /** The trees of a stack of layers, topmost first, relative to the root. Throws NotFound. */
  stack(chain: readonly Digest[]): string[] {
    if (chain.length === 0) return [relativePath(EMPTY)];
    return chain.toReversed().map((chainId) => {
      const record = this.get(chainId);
      if (record === undefined) throw notFound('layer', chainId);
      return relativePath(record.directory);
    });
  }

  /**
   * Makes a new layer: `fill` gets the directories and returns what goes into the record. The
   * record is committed when this resolves; if `fill` fails nothing is left.
   */
  async make(
    fill: (target: string, work: string) => Promise<Omit<LayerRecord, 'directory'>>,
  ): Promise<LayerRecord> {
    const directory = this.#take();
    const above = this.#above(directory);
    try {
      await failpoint('layer.make');
      // 0711: a container in a user namespace passes through as somebody else.
      await mkdir(above, { mode: 0o711 });
      await mkdir(join(above, 'fs'), { mode: 0o755 });
      await mkdir(join(above, 'work'), { mode: 0o700 });
      await failpoint('layer.fill');
      const filled = await fill(join(above, 'fs'), join(above, 'work'));
      await this.#removeTree(join(above, 'work'));
      await syncDirectory(join(this.#root, 'layers'));
      const { blocks } = await stat(above);
      const record: LayerRecord = {
        ...filled,
        size: filled.size + blocks * 512,
        inodes: filled.inodes + 1,
        directory,
      };
      await failpoint('layer.record');
      await this.#metadata.layers.put(record.chainId, record);
      this.#count(record, Date.now());
      return record;
    } catch (error) {
      // The first error counts; what cannot be removed now is tried again by every sweep.
      this.#debris.add(directory);
      await this.#removeDirectory(directory).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Forgets the layer, then removes its tree. Durably forgotten: a record that comes back after a
   * loss of power would have a tree that is half gone, or another layer's.
   */
  async remove(record: LayerRecord): Promise<void> {
    await this.#metadata.layers.remove(record.chainId);
    await this.#metadata.durable();
    this.#debris.add(record.directory);
    await this.#removeDirectory(record.directory);
  }

  /** Removes what could not be removed before. Rejects with the first error, having tried all. */
  async removeDebris(): Promise<void> {
    const results = await Promise.allSettled(
      [...this.#debris].map((directory) => this.#removeDirectory(directory)),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  #take(): number {
    let directory = EMPTY + 1;
    while (this.#taken.has(directory)) directory += 1;
    this.#taken.add(directory);
    return directory;
  }

  #count({ directory, size, inodes }: LayerRecord, since: number): void {
    this.#taken.add(directory);
    this.#onDisk.set(directory, { bytes: size, inodes, since });
  }

  /** Joins a removal that is under way: the number may have a new owner once it is through. */
  #removeDirectory(directory: number): Promise<void> {
    const running = this.#removing.get(directory);
    if (running) return running;
    const removal = this.#removeTree(this.#above(directory))
      .then(() => {
        this.#debris.delete(directory);
        this.#onDisk.delete(directory);
        this.#taken.delete(directory);
      })
      .finally(() => this.#removing.delete(directory));
    this.#removing.set(directory, removal);
    return removal;
  }

  async #removeTree(path: string): Promise<void> {
    await failpoint('layer.remove');
    await this.#native.runFileOps([{ op: 'removeTree', path }]);
  }

  #above(directory: number): string {
    return join(this.#root, 'layers', String(directory));
  }

  /** Undefined where there is no such directory. */
  async #madeAt(directory: number): Promise<number | undefined> {
    try {
      const tree = await stat(this.path(directory));
      if (!tree.isDirectory()) return undefined;
      return (await stat(this.#above(directory))).mtimeMs;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw error;
    }
  }
}

function relativePath(directory: number): string {
  return join('layers', String(directory), 'fs');
}
