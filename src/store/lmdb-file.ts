import {
  BRANCH,
  decodeKey,
  LEAF,
  type Meta,
  NO_PAGE,
  type Node,
  OVERFLOW,
  PAGE_HEADER,
  type PageHead,
  readHead,
  readMeta,
  readNode,
  type Tree,
  wide,
} from './lmdb-pages.ts';

/** Deeper is no tree of ours: 40 levels hold more than any disk. */
const DEEPEST = 40;
/** The flags that LMDB has for the tree of free pages: keys are integers. */
const FREE_FLAGS = 0x08;
/** lmdb's mark of a commit whose sync is yet to come; of no meaning for what is in it. */
const UNSYNCED = 0x1000;

export interface LmdbContents {
  /** What could be read, from the latest commit that there is. */
  readonly entries: Map<string, Buffer>;
  /** What is wrong with the file; nothing, if LMDB can be let at it. */
  readonly damage: string[];
}

/**
 * Reads all of an LMDB file without LMDB, which trusts what it reads: a wrong page number ends the
 * process. Everything that LMDB would follow is looked at: page numbers, kinds, counts, order of
 * keys, lists of free pages. Whether a value is the one that was written, its seal tells.
 */
export function readLmdbFile(file: Buffer): LmdbContents {
  const metas = readMetas(file);
  const readings = metas.map((meta) => new Reading(file, meta));
  const [latest, before] = readings.sort((a, b) => b.meta.transaction - a.meta.transaction);
  if (latest === undefined) return { entries: new Map(), damage: ['no meta page is whole'] };
  latest.read();
  if (before === undefined) latest.damage.push('one of two meta pages is damaged');
  else if (latest.meta.transaction - before.meta.transaction > 1) {
    latest.damage.push('the meta pages are not of successive commits');
  }
  if (latest.damage.length === 0 || before === undefined) return latest;
  // A number may have been turned into a higher one: the other tree may be the better one.
  before.read();
  if (before.entries.size <= latest.entries.size) return latest;
  return { entries: before.entries, damage: latest.damage };
}

/** Those of the two that are whole, and where they belong: even commits in the first. */
function readMetas(file: Buffer): Meta[] {
  const first = readMeta(file, 0);
  const second = readMeta(file, first?.pageSize ?? 4096);
  const metas: Meta[] = [];
  if (first !== undefined && first.transaction % 2 === 0) metas.push(first);
  // Both pages of a new file say 0.
  if (second !== undefined && (second.transaction % 2 === 1 || second.transaction === 0)) {
    metas.push(second);
  }
  return metas;
}

class Reading {
  readonly meta: Meta;
  readonly entries = new Map<string, Buffer>();
  readonly damage: string[] = [];
  readonly #file: Buffer;
  /** Pages that trees have. */
  readonly #used = new Set<number>([0, 1]);

  constructor(file: Buffer, meta: Meta) {
    this.#file = file;
    this.meta = meta;
  }

  read(): void {
    const { meta } = this;
    if ((meta.lastPage + 1) * meta.pageSize > this.#file.length) {
      this.damage.push(`its last page is said to be ${meta.lastPage}`);
    }
    const free: [number, Buffer][] = [];
    this.#tree('records', meta.main, Buffer.compare, (key, value) => {
      this.entries.set(decodeKey(key), value);
    });
    if (meta.main.flags !== 0) this.damage.push('records: flags');
    this.#tree('free pages', meta.free, byNumber, (key, value) => {
      free.push([key.length === 8 ? wide(key, 0) : NO_PAGE, value]);
    });
    if ((meta.free.flags & ~UNSYNCED) !== FREE_FLAGS) this.damage.push('free pages: flags');
    for (const [key, list] of free) this.#freeList(key, list);
  }

  #tree(
    name: string,
    tree: Tree,
    order: (a: Buffer, b: Buffer) => number,
    take: (key: Buffer, value: Buffer) => void,
  ): void {
    const met = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
    const wrong = (page: number, what: string) => {
      this.damage.push(`${name}: page ${page}: ${what}`);
    };
    const walk = (number: number, level: number, from?: Buffer, below?: Buffer): void => {
      const page = this.#page(number);
      if (page === undefined || level > DEEPEST) {
        wrong(number, 'cannot be there');
        return;
      }
      const head = readHead(page);
      const bad = this.#badHead(number, head, page);
      if (bad !== undefined) {
        wrong(number, bad);
        return;
      }
      const isLeaf = (head.flags & LEAF) !== 0;
      if (isLeaf) met.leaves += 1;
      else met.branches += 1;
      if (level > tree.depth || isLeaf !== (level === tree.depth)) wrong(number, 'its level');
      const nodes = this.#nodes(page, head, (index) => wrong(number, `node ${index}`));
      let last = from;
      nodes.forEach(([index, node], place) => {
        // The first key of a branch stands for everything below the second.
        const least = !isLeaf && index === 0;
        const ordered =
          least ||
          ((last === undefined || order(last, node.key) < (last === from ? 1 : 0)) &&
            (below === undefined || order(node.key, below) < 0));
        if (!ordered) wrong(number, `key ${index} is out of order`);
        if (!least) last = node.key;
        if (!isLeaf) {
          const next = nodes[place + 1]?.[1].key;
          walk(node.child, level + 1, least ? from : node.key, next ?? below);
          return;
        }
        met.entries += 1;
        const value = node.value ?? this.#overflow(node, met, (what) => wrong(number, what));
        if (value !== undefined) take(node.key, value);
      });
    };
    if (tree.root !== NO_PAGE) walk(tree.root, 1);
    for (const count of ['branches', 'leaves', 'overflows', 'entries'] as const) {
      if (met[count] === tree[count]) continue;
      this.damage.push(`${name}: ${met[count]} ${count} where there should be ${tree[count]}`);
    }
  }

  #nodes(page: Buffer, head: PageHead, wrong: (index: number) => void): [number, Node][] {
    const nodes: [number, Node][] = [];
    for (let index = 0; index < head.nodes; index += 1) {
      const node = readNode(page, head, index);
      if (node === undefined) wrong(index);
      else nodes.push([index, node]);
    }
    return nodes;
  }

  #badHead(number: number, head: PageHead, page: Buffer): string | undefined {
    const room = page.length - PAGE_HEADER;
    if (this.#used.has(number)) return 'two trees have it';
    this.#used.add(number);
    if (head.number !== number) return `it says that it is ${head.number}`;
    if (head.transaction > this.meta.transaction) return 'it is of a later commit';
    if (head.flags !== LEAF && head.flags !== BRANCH) return `flags ${head.flags}`;
    const table = 2 * head.nodes;
    return table > head.upper || head.upper > room || head.nodes === 0 ? 'its bounds' : undefined;
  }

  #overflow(
    { overflow }: Node,
    met: { overflows: number },
    wrong: (what: string) => void,
  ): Buffer | undefined {
    const { pageSize, lastPage } = this.meta;
    const { page: number, pages, size } = overflow ?? { page: 0, pages: 0, size: 0 };
    const page = this.#page(number);
    // More than it takes, where a value became shorter within its commit.
    const fits = pages >= Math.ceil((PAGE_HEADER + size) / pageSize);
    if (page === undefined || !fits || number + pages - 1 > lastPage) {
      wrong(`its value on page ${number} cannot be there`);
      return undefined;
    }
    const head = readHead(page);
    for (let each = number; each < number + pages; each += 1) {
      if (this.#used.has(each)) wrong(`page ${each} of a value belongs to another`);
      this.#used.add(each);
    }
    met.overflows += pages;
    if (head.number !== number || head.flags !== OVERFLOW || head.run !== pages) {
      wrong(`page ${number} is not the value's`);
    }
    const start = number * pageSize + PAGE_HEADER;
    return this.#file.subarray(start, start + size);
  }

  /**
   * u64 count, then as many of: a page; minus a number of pages, and the first of them; 0 for
   * nothing. A page that is in use must not be given away.
   */
  #freeList(key: number, list: Buffer): void {
    const wrong = (what: string) => this.damage.push(`free pages of commit ${key}: ${what}`);
    if (key > this.meta.transaction || list.length < 8 || list.length % 8 !== 0) {
      wrong('no list');
      return;
    }
    const count = wide(list, 0);
    if (count * 8 > list.length - 8) {
      wrong(`${count} in ${list.length} bytes`);
      return;
    }
    for (let at = 1; at <= count; at += 1) {
      const entry = list.readBigInt64LE(at * 8);
      if (entry === 0n) continue;
      const run = entry < 0n ? -entry : 1n;
      if (entry < 0n) at += 1;
      const first = entry < 0n && at <= count ? list.readBigInt64LE(at * 8) : entry;
      if (first < 2n || first + run - 1n > BigInt(this.meta.lastPage)) {
        wrong(`page ${first} and ${run} in all`);
        return;
      }
      for (let page = Number(first); page < Number(first + run); page += 1) {
        if (this.#used.has(page)) wrong(`page ${page} is in use`);
        this.#used.add(page);
      }
    }
  }

  #page(number: number): Buffer | undefined {
    const { pageSize, lastPage } = this.meta;
    const start = number * pageSize;
    if (number < 2 || number > lastPage || start + pageSize > this.#file.length) return undefined;
    return this.#file.subarray(start, start + pageSize);
  }
}

function byNumber(a: Buffer, b: Buffer): number {
  return a.length === 8 && b.length === 8 ? wide(a, 0) - wide(b, 0) : a.length - b.length;
}
