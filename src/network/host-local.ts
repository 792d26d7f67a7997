import { CoracleError } from '../errors.ts';
import {
  type Address,
  contains,
  type Family,
  formatAddress,
  formatSubnet,
  parseAddress,
  podRange,
  type Subnet,
} from './cidr.ts';

/** The part of a store table that the network needs; `put` and `remove` resolve once committed. */
export interface AddressTable {
  get(key: string): AddressRecord | undefined;
  entries(): Iterable<[string, AddressRecord]>;
  put(key: string, value: AddressRecord): Promise<void>;
  remove(key: string): Promise<void>;
}

export type AddressRecord =
  /** Key: the address. */
  | { kind: 'held'; sandboxId: string }
  /** Key: "last SUBNET". The address that was handed out last. */
  | { kind: 'last'; address: string }
  /** Key: "subnet". The subnet that was chosen for this host. */
  | { kind: 'subnet'; subnet: string };

/** What one sandbox holds. `saved` settles with the commit of its records. */
interface Holding {
  readonly addresses: readonly string[];
  readonly saved: Promise<unknown>;
}

/**
 * Hands out the addresses of subnets, one per subnet and sandbox, going round each subnet so that
 * an address that was just freed is not reused while neighbours still remember its last owner.
 *
 * An address is committed under its sandbox's id before anyone uses it, so a crash at any point
 * leaves a record that `reclaim` finds. Committed is enough: what does not survive power loss
 * belonged to a pod that did not survive it either.
 */
export class HostLocal {
  readonly #table: AddressTable;
  readonly #holdings = new Map<string, Holding>();
  /** Addresses that must not be handed out: held, or freed with their record still there. */
  readonly #taken: Record<Family, Set<bigint>> = { 4: new Set(), 6: new Set() };
  /** Freed addresses whose record is still to be erased. */
  readonly #unerased = new Set<string>();
  readonly #last = new Map<string, bigint>();

  constructor(table: AddressTable) {
    this.#table = table;
    const held = new Map<string, string[]>();
    for (const [key, record] of table.entries()) {
      const address = parseAddress(key);
      if (record.kind !== 'held' || !address) continue;
      this.#taken[address.family].add(address.value);
      const others = held.get(record.sandboxId);
      if (others) others.push(key);
      else held.set(record.sandboxId, [key]);
    }
    const saved = Promise.resolve();
    for (const [id, addresses] of held) this.#holdings.set(id, { addresses, saved });
  }

  /** How many sandboxes hold addresses. */
  get size(): number {
    return this.#holdings.size;
  }

  holds(sandboxId: string): boolean {
    return this.#holdings.has(sandboxId);
  }

  /**
   * One address of each subnet, in their order, without prefix lengths.
   *
   * @throws ResourceExhausted naming the subnet that has no free address; AlreadyExists for a
   *   sandbox that holds addresses; what the table throws. Nothing more is held then.
   */
  async allocate(sandboxId: string, subnets: readonly Subnet[]): Promise<readonly string[]> {
    if (this.#holdings.has(sandboxId)) {
      throw new CoracleError('AlreadyExists', `sandbox ${sandboxId} has addresses already`);
    }
    // Up to the first await nothing else runs: two sandboxes never pick the same address.
    const picked = subnets.map((subnet) => this.#pick(subnet));
    const addresses = picked.map(formatAddress);
    const puts = addresses.map((key) => this.#table.put(key, { kind: 'held', sandboxId }));
    for (const [i, subnet] of subnets.entries()) {
      const address = picked[i];
      const text = addresses[i];
      if (!address || text === undefined) continue;
      this.#taken[address.family].add(address.value);
      this.#last.set(formatSubnet(subnet), address.value);
      // In the same commit where the store batches. Losing it costs the order, nothing else.
      puts.push(this.#table.put(lastKey(subnet), { kind: 'last', address: text }));
    }
    const saved = Promise.all(puts);
    this.#holdings.set(sandboxId, { addresses, saved });
    try {
      await saved;
    } catch (error) {
      await Promise.allSettled(puts);
      await this.release(sandboxId);
      throw error;
    }
    return addresses;
  }

  /**
   * Frees what a sandbox holds. Never rejects, since a pod must be removable on a full disk: an
   * address whose record cannot be erased stays unused and the erasure is tried again later.
   */
  async release(sandboxId: string): Promise<void> {
    const holding = this.#holdings.get(sandboxId);
    if (holding) {
      this.#holdings.delete(sandboxId);
      await holding.saved.catch(() => {});
      for (const address of holding.addresses) this.#unerased.add(address);
    }
    await this.#erase();
  }

  /** Frees what sandboxes hold that are not among the living; returns their ids. */
  async reclaim(liveSandboxIds: Iterable<string>): Promise<string[]> {
    const live = new Set(liveSandboxIds);
    const dead = [...this.#holdings.keys()].filter((id) => !live.has(id));
    await Promise.all(dead.map((id) => this.release(id)));
    return dead;
  }

  #pick(subnet: Subnet): Address {
    const { family } = subnet;
    const { first, last } = podRange(subnet);
    const taken = this.#taken[family];
    let value = this.#lastOf(subnet) ?? last;
    // Of so many addresses in a row at least one is free, or none is at all.
    for (let tries = taken.size + 1; tries > 0 && first <= last; tries--) {
      value = value >= last || value < first ? first : value + 1n;
      if (!taken.has(value)) return { family, value };
    }
    throw new CoracleError(
      'ResourceExhausted',
      `subnet ${formatSubnet(subnet)} has no free address left`,
    );
  }

  #lastOf(subnet: Subnet): bigint | undefined {
    const known = this.#last.get(formatSubnet(subnet));
    if (known !== undefined) return known;
    const record = this.#table.get(lastKey(subnet));
    const address = record?.kind === 'last' ? parseAddress(record.address) : undefined;
    return address && contains(subnet, address) ? address.value : undefined;
  }

  async #erase(): Promise<void> {
    const batch = [...this.#unerased];
    this.#unerased.clear();
    await Promise.all(
      batch.map(async (key) => {
        try {
          await this.#table.remove(key);
          const address = parseAddress(key);
          if (address) this.#taken[address.family].delete(address.value);
        } catch {
          this.#unerased.add(key);
        }
      }),
    );
  }
}

function lastKey(subnet: Subnet): string {
  return `last ${formatSubnet(subnet)}`;
}
