import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError, notFound } from '../errors.ts';
import type { Addon } from '../native/types.ts';
import { syncDirectory } from './content-store.ts';
import type { Digest } from './digest.ts';
import type { ImageMetadata, LayerRecord } from './image-store.ts';

/** What images need of the addon. */
export type ImageAddon = Pick<Addon, 'applyLayer' | 'runFileOps'>;

/** Always there and always empty: the only layer of an image that has none. */
const EMPTY = 0;

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

  private constructor(root: string, metadata: ImageMetadata, native: ImageAddon) {
    this.#root = root;
    this.#metadata = metadata;
    this.#native = native;
  }

  /** Removes directories without a record and records without a directory. */
  static async open(
    root: string,
    metadata: ImageMetadata,
    native: ImageAddon,
    onLeftover: (error: unknown) => void,
  ): Promise<LayerDirectories> {
    const layers = new LayerDirectories(root, metadata, native);
    await mkdir(join(root, 'layers', String(EMPTY), 'fs'), { recursive: true, mode: 0o755 });
    for (const [chainId, record] of [...metadata.layers.entries()]) {
      if (await isDirectory(layers.path(record.directory))) layers.#taken.add(record.directory);
      else await metadata.layers.remove(chainId);
    }
    for (const name of await readdir(join(root, 'layers'))) {
      const directory = Number(name);
      if (layers.#taken.has(directory)) continue;
      await layers.#removeTree(join(root, 'layers', name)).catch((error: unknown) => {
        // Its number must not be given to another layer.
        layers.#taken.add(directory);
        onLeftover(error);
      });
    }
    return layers;
  }

  get(chainId: Digest): LayerRecord | undefined {
    return this.#metadata.layers.get(chainId);
  }

  list(): LayerRecord[] {
    return [...this.#metadata.layers.entries()].map(([, record]) => record);
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
    const above = join(this.#root, 'layers', String(directory));
    try {
      // 0711: a container in a user namespace passes through as somebody else.
      await mkdir(above, { mode: 0o711 });
      await mkdir(join(above, 'fs'), { mode: 0o755 });
      await mkdir(join(above, 'work'), { mode: 0o700 });
      const filled = await fill(join(above, 'fs'), join(above, 'work'));
      await this.#removeTree(join(above, 'work'));
      await syncDirectory(join(this.#root, 'layers'));
      const record: LayerRecord = { ...filled, directory };
      await this.#metadata.layers.put(record.chainId, record);
      return record;
    } catch (error) {
      await this.#removeTree(above).then(
        () => this.#taken.delete(directory),
        () => undefined, // the next open tries again
      );
      throw error;
    }
  }

  /** Forgets the layer, then removes its tree. */
  async remove(record: LayerRecord): Promise<void> {
    await this.#metadata.layers.remove(record.chainId);
    await this.#removeTree(join(this.#root, 'layers', String(record.directory)));
    this.#taken.delete(record.directory);
  }

  #take(): number {
    let directory = EMPTY + 1;
    while (this.#taken.has(directory)) directory += 1;
    this.#taken.add(directory);
    return directory;
  }

  async #removeTree(path: string): Promise<void> {
    await this.#native.runFileOps([{ op: 'removeTree', path }]);
  }
}

function relativePath(directory: number): string {
  return join('layers', String(directory), 'fs');
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw new CoracleError('Internal', `look at layer ${path}`, { cause: error });
  }
}
