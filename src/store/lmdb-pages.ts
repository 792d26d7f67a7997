/**
 * The layout of LMDB's file, as far as reading it takes; lmdb 3.5.6, data version 2, 64 bits,
 * little-endian (mdb.c of the package: MDB_page_header, MDB_meta, MDB_db, MDB_node, MDB_ovpage).
 */

/** Bytes before the content of every page. */
export const PAGE_HEADER = 24;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;

export const BRANCH = 0x01;
export const LEAF = 0x02;
export const OVERFLOW = 0x04;
const META = 0x08;

/** One tree: of the free pages, or of the records. */
export interface Tree {
  readonly flags: number;
  readonly depth: number;
  readonly branches: number;
  readonly leaves: number;
  readonly overflows: number;
  readonly entries: number;
  /** Page number, or NO_PAGE. */
  readonly root: number;
}

export interface Meta {
  readonly pageSize: number;
  readonly free: Tree;
  readonly main: Tree;
  readonly lastPage: number;
  readonly transaction: number;
}

/** The root of an empty tree, and any number that no file has so many pages for. */
export const NO_PAGE = Number.MAX_SAFE_INTEGER;

/** The integer at `at`; what is too large for a double is NO_PAGE. */
export function wide(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at);
  return value > BigInt(NO_PAGE) ? NO_PAGE : Number(value);
}

/** Undefined where the page is no meta page of this format. */
export function readMeta(file: Buffer, at: number): Meta | undefined {
  if (file.length < at + 512 || (file.readUInt16LE(at + 18) & META) === 0) return undefined;
  const start = at + PAGE_HEADER;
  if (file.readUInt32LE(start) !== MAGIC) return undefined;
  if ((file.readUInt32LE(start + 4) & 0xffff) !== DATA_VERSION) return undefined;
  const pageSize = file.readUInt32LE(start + 24);
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  return {
    pageSize,
    free: readTree(file, start + 24),
    main: readTree(file, start + 72),
    lastPage: wide(file, start + 120),
    transaction: wide(file, start + 128),
  };
}

function readTree(file: Buffer, at: number): Tree {
  return {
    flags: file.readUInt16LE(at + 4),
    depth: file.readUInt16LE(at + 6),
    branches: wide(file, at + 8),
    leaves: wide(file, at + 16),
    overflows: wide(file, at + 24),
    entries: wide(file, at + 32),
    root: wide(file, at + 40),
  };
}

export interface PageHead {
  readonly number: number;
  readonly transaction: number;
  readonly flags: number;
  /** Of a branch or leaf: nodes, and where the free space between their table and them ends. */
  readonly nodes: number;
  readonly upper: number;
  /** Of an overflow page: how many pages it runs over. */
  readonly run: number;
}

export function readHead(page: Buffer): PageHead {
  return {
    number: wide(page, 0),
    transaction: wide(page, 8),
    flags: page.readUInt16LE(18),
    nodes: page.readUInt16LE(20) >> 1,
    upper: page.readUInt16LE(22),
    run: page.readUInt32LE(20),
  };
}

export interface Node {
  readonly key: Buffer;
  /** Of a node of a branch. */
  readonly child: number;
  /** Of a leaf's: the value, where it is in the leaf. */
  readonly value: Buffer | undefined;
  /** Of a leaf's whose value has pages of its own. */
  readonly overflow:
    | { readonly page: number; readonly pages: number; readonly size: number }
    | undefined;
}

const BIG_DATA = 0x01;

/** Undefined where the node is not within its page, or of a kind that this file has no use for. */
export function readNode(page: Buffer, head: PageHead, index: number): Node | undefined {
  const at = PAGE_HEADER + page.readUInt16LE(PAGE_HEADER + 2 * index);
  if (at < PAGE_HEADER + head.upper || at + 8 > page.length) return undefined;
  const low = page.readUInt32LE(at);
  const flags = page.readUInt16LE(at + 4);
  const keyEnd = at + 8 + page.readUInt16LE(at + 6);
  if (keyEnd > page.length) return undefined;
  const key = page.subarray(at + 8, keyEnd);
  if ((head.flags & BRANCH) !== 0) {
    return { key, child: low + flags * 2 ** 32, value: undefined, overflow: undefined };
  }
  if (flags === BIG_DATA && keyEnd + 24 <= page.length) {
    const overflow = { page: wide(page, keyEnd), pages: wide(page, keyEnd + 16), size: low };
    return { key, child: NO_PAGE, value: undefined, overflow };
  }
  if (flags !== 0 || keyEnd + low > page.length) return undefined;
  const value = page.subarray(keyEnd, keyEnd + low);
  return { key, child: NO_PAGE, value, overflow: undefined };
}

/**
 * A key of the records, which lmdb writes as UTF-8 with an escape before a first character below
 * 28, and before any below 5.
 */
export function decodeKey(key: Buffer): string {
  const start = key[0] === 27 ? 1 : 0;
  if (!key.includes(4, start)) return key.toString('utf8', start);
  const bytes: number[] = [];
  for (let at = start; at < key.length; at += 1) {
    if (key[at] === 4) at += 1;
    bytes.push(key[at] ?? 0);
  }
  return Buffer.from(bytes).toString('utf8');
}
