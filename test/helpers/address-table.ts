import type { AddressRecord, AddressTable } from '../../src/network/host-local.ts';

/** A table in memory that commits in a later turn and can be told to fail, like a full disk. */
export class MemoryAddressTable implements AddressTable {
  readonly committed: Map<string, AddressRecord>;
  putFails = false;
  removeFails = false;

  /** Opening one on another's records is what a restart does. */
  constructor(committed = new Map<string, AddressRecord>()) {
    this.committed = committed;
  }

  get(key: string): AddressRecord | undefined {
    return this.committed.get(key);
  }

  entries(): Iterable<[string, AddressRecord]> {
    return this.committed.entries();
  }

  async put(key: string, value: AddressRecord): Promise<void> {
    await new Promise(setImmediate);
    if (this.putFails) throw new Error('ENOSPC: no space left on device');
    this.committed.set(key, value);
  }

  async remove(key: string): Promise<void> {
    await new Promise(setImmediate);
    if (this.removeFails) throw new Error('ENOSPC: no space left on device');
    this.committed.delete(key);
  }

  /** Address → sandbox id, as it would be read after a crash. */
  held(): Record<string, string> {
    const held: Record<string, string> = {};
    for (const [key, record] of this.committed) {
      if (record.kind === 'held') held[key] = record.sandboxId;
    }
    return held;
  }
}
