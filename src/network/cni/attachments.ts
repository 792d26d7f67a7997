import { failpoint } from '../../failpoint.ts';
import type { JsonObject } from './conf.ts';
import type { CniVersion } from './version.ts';

/**
 * One sandbox in one network: everything that DEL needs, whatever becomes of the configuration and
 * of the pod meanwhile. Plain data.
 */
export interface CniAttachment {
  readonly sandboxId: string;
  /** The network configuration that was used, as a conflist. */
  readonly config: string;
  readonly network: string;
  readonly cniVersion: CniVersion;
  readonly ifName: string;
  /** Where the network namespace was pinned. */
  readonly netns: string;
  /** CNI_ARGS. */
  readonly args: string;
  /** Capability arguments, by capability. */
  readonly capabilityArgs: JsonObject;
  /** Of the last plugin; absent until ADD has succeeded. */
  readonly result?: JsonObject;
}

/** The part of a store table that is needed; `put` and `remove` resolve once committed. */
export interface CniResultTable {
  get(key: string): CniAttachment | undefined;
  entries(): Iterable<[string, CniAttachment]>;
  put(key: string, value: CniAttachment): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The attachments that a DEL is still due for, by sandbox id. */
export class Attachments {
  readonly #table: CniResultTable;
  /** Ids whose DEL is done and whose record could not be erased. */
  readonly #unerased = new Set<string>();

  constructor(table: CniResultTable) {
    this.#table = table;
  }

  get(sandboxId: string): CniAttachment | undefined {
    return this.#unerased.has(sandboxId) ? undefined : this.#table.get(sandboxId);
  }

  all(): CniAttachment[] {
    return [...this.#table.entries()]
      .filter(([id]) => !this.#unerased.has(id))
      .map(([, attachment]) => attachment);
  }

  async put(attachment: CniAttachment): Promise<void> {
    await failpoint('cni.record');
    await this.#table.put(attachment.sandboxId, attachment);
    this.#unerased.delete(attachment.sandboxId);
  }

  /**
   * Never rejects, since a pod must be removable on a full disk: what cannot be erased is tried
   * again with the next one. After a crash it costs one DEL more, which plugins must take.
   */
  async remove(sandboxId: string): Promise<void> {
    this.#unerased.add(sandboxId);
    await Promise.all(
      [...this.#unerased].map(async (id) => {
        try {
          await failpoint('cni.erase');
          await this.#table.remove(id);
          this.#unerased.delete(id);
        } catch {
          // It stays among the unerased.
        }
      }),
    );
  }
}
