/** Bytes that the disk has allocated, as du(1) counts them, and files and directories. */
export interface DiskUsage {
  bytes: number;
  inodes: number;
}

/** What a file takes of a disk that gives it out in blocks of 4 KiB. */
export function blocksOf(bytes: number): number {
  return Math.ceil(bytes / 4096) * 4096;
}

/** Entries by key, and what they take together: kept up with every change, so never counted. */
export class Inventory<K, V extends DiskUsage> {
  readonly #entries = new Map<K, V>();
  readonly #total: DiskUsage = { bytes: 0, inodes: 0 };

  get total(): Readonly<DiskUsage> {
    return this.#total;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  keys(): K[] {
    return [...this.#entries.keys()];
  }

  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#total.bytes += value.bytes;
    this.#total.inodes += value.inodes;
  }

  delete(key: K): void {
    const old = this.#entries.get(key);
    if (old === undefined) return;
    this.#entries.delete(key);
    this.#total.bytes -= old.bytes;
    this.#total.inodes -= old.inodes;
  }
}
