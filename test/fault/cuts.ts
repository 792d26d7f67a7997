import {
  allBut,
  atRandom,
  BYTES,
  type DiskModel,
  digestOfTree,
  EVERYTHING,
  type Fate,
  NAMES,
  NOTHING,
  seeded,
  type Tree,
} from './disk-model.ts';

export interface CutOptions {
  readonly seed: number;
  /** Random fates at each moment, beside "everything" and "only what was synced". */
  readonly random: number;
  /** Also every unsynced operation alone missing, and alone there. */
  readonly single: boolean;
}

export interface Cut {
  /** "<operations>:<which fate>" */
  readonly name: string;
  readonly tree: Tree;
}

/** The states that a disk may be in after a cut at this moment. */
export function* cutsAt(disk: DiskModel, at: number, options: CutOptions): Iterable<Cut> {
  const fates: [string, Fate][] = [['all', EVERYTHING]];
  if (disk.unsynced.length > 0) {
    fates.push(['none', NOTHING], ['names', NAMES], ['bytes', BYTES]);
    const random = seeded(options.seed * 1_000_003 + at);
    for (let n = 0; n < options.random; n += 1) fates.push([`random-${n}`, atRandom(random)]);
    if (options.single) {
      for (const operation of disk.unsynced) {
        fates.push([`without-${operation}`, allBut(operation)]);
        fates.push([`only-${operation}`, allBut(operation, false)]);
      }
    }
  }
  for (const [name, fate] of fates) yield { name: `${at}:${name}`, tree: disk.cut(fate) };
}

/** Tells whether a state was met before, in which as much was promised. */
export class Seen {
  readonly #seen = new Set<string>();

  before(tree: Tree, promised: unknown): boolean {
    const key = `${digestOfTree(tree)} ${JSON.stringify(promised)}`;
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    return false;
  }
}
