import { readdir, readlink, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Addon } from '../../native/types.ts';

export const DEFAULT_NETNS_DIR = '/run/netns';

/** Of linux/magic.h: the file system of namespace files. */
const NSFS_MAGIC = 0x6e736673;
/** An id as the store makes them; other files of the directory are other people's. */
const PIN = /^coracle-([0-9a-f]{64})$/;

/** An empty file younger than this may be another instance's, about to be mounted on, ms. */
const BEING_MADE_MS = 60_000;

/**
 * Network namespaces of pods under names of their own, as ip-netns(8) has them: plugins and their
 * daemons see the same path, and the namespace is there until DEL is done, whatever became of the
 * pod's monitor.
 */
export class NetnsPins {
  readonly #addon: Pick<Addon, 'runFileOps'>;
  readonly #dir: string;

  constructor(addon: Pick<Addon, 'runFileOps'>, dir: string) {
    this.#addon = addon;
    this.#dir = dir;
  }

  pathOf(sandboxId: string): string {
    return join(this.#dir, `coracle-${sandboxId}`);
  }

  async pin(path: string, pid: number): Promise<void> {
    await this.#addon.runFileOps([
      { op: 'mkdir', path: this.#dir, mode: 0o755, parents: true },
      { op: 'bindFile', source: `/proc/${pid}/ns/net`, path },
    ]);
  }

  /** A pin that is missing is no error. */
  async unpin(path: string): Promise<void> {
    await this.#addon.runFileOps([{ op: 'unbindFile', path }]);
  }

  /**
   * Removes pins that nobody has a record of and no process lives behind: of a root directory that
   * was wiped, or from before a reboot where /run is no tmpfs. Those of other instances on this
   * host have their pods behind them, and stay.
   *
   * @returns their paths.
   */
  async removeStale(known: ReadonlySet<string>): Promise<string[]> {
    const names = await readdir(this.#dir).catch((): string[] => []);
    const ours = names.filter((name) => {
      const id = PIN.exec(name)?.[1];
      return id !== undefined && !known.has(id);
    });
    if (ours.length === 0) return [];
    const inhabited = await inhabitedNamespaces();
    const removed: string[] = [];
    for (const path of ours.map((name) => join(this.#dir, name))) {
      const found = await stat(path).catch(() => undefined);
      // Somebody else has removed it meanwhile.
      if (found === undefined) continue;
      const { ino, ctimeMs } = found;
      const busy = (await isNamespace(path))
        ? inhabited.has(ino)
        : Date.now() - ctimeMs < BEING_MADE_MS;
      if (busy) continue;
      await this.unpin(path);
      removed.push(path);
    }
    return removed;
  }
}

/** Whether a namespace is mounted there: after a reboot, the path is missing or an empty file. */
export async function isNamespace(path: string): Promise<boolean> {
  try {
    return (await statfs(path)).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** Inodes of the network namespaces that processes are in. */
async function inhabitedNamespaces(): Promise<Set<number>> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const links = await Promise.all(
    pids.map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => '')),
  );
  return new Set(links.map((link) => Number(/\[(\d+)\]/.exec(link)?.[1] ?? -1)));
}
