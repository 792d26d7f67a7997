import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Operation } from './recording.ts';

/** What a disk writes whole or not at all, bytes: the smallest logical block there is. */
const SECTOR = 512;
/** What the page cache writes as one request, at least. */
const PAGE = 4096;

/**
 * Decides of what was never synced whether the disk has it: an operation on names, or one sector
 * of a write. It is asked in the order of the operations.
 */
export interface Fate {
  name(operation: number): boolean;
  /** Of a change of a file's size by itself. */
  size(operation: number): boolean;
  sector(operation: number, sector: number): boolean;
  /** Whether a file is as long as its writes made it even where their bytes are missing. */
  extended(operation: number): boolean;
}

interface Write {
  readonly operation: number;
  readonly at: number;
  /** undefined: the file is cut, or extended with zeros, to `at`. */
  readonly bytes: Buffer | undefined;
  readonly synced: boolean;
}

interface File {
  readonly kind: 'file';
  durable: Buffer;
  pending: Write[];
}

interface Directory {
  readonly kind: 'directory';
}

type Node = File | Directory;

interface NameChange {
  readonly operation: number;
  readonly kind: 'add' | 'remove' | 'rename';
  readonly path: string;
  readonly node: Node | undefined;
  readonly from: string;
}

/** A tree of files: path below the root → bytes; null for a directory. */
export type Tree = Map<string, Buffer | null>;

/**
 * A file system as its calls promise (fsync(2), rename(2)), no better: bytes are on the disk once
 * their file was synced, names once the directory they are in was. Between syncs anything may have
 * come through, in any order and in parts. Names alone have more order, as on every file system
 * with a log: a rename is one step.
 */
export class DiskModel {
  /** As programs see it. */
  readonly #seen = new Map<string, Node>([['/', { kind: 'directory' }]]);
  readonly #durable = new Map<string, Node>([['/', { kind: 'directory' }]]);
  readonly #files = new Map<number, File>();
  #names: NameChange[] = [];
  #count = 0;

  /** The disk that has the tree of `root`, all of it synced. */
  static of(root: string, tree: Tree): DiskModel {
    const disk = new DiskModel();
    for (const [path, bytes] of tree) {
      const node: Node =
        bytes === null
          ? { kind: 'directory' }
          : { kind: 'file', durable: Buffer.from(bytes), pending: [] };
      disk.#seen.set(path, node);
      disk.#durable.set(path, node);
      if (node.kind === 'file') disk.#files.set(statSync(join(root, path)).ino, node);
    }
    return disk;
  }

  /** The operations that no sync has covered yet. */
  get unsynced(): number[] {
    const nodes = new Set([...this.#seen.values(), ...this.#durable.values()]);
    const writes = [...nodes].flatMap((node) => (node.kind === 'file' ? node.pending : []));
    const open = writes.filter(({ synced }) => !synced);
    return [...this.#names, ...open].map(({ operation }) => operation);
  }

  apply(given: Operation): void {
    const operation = this.#count;
    this.#count += 1;
    const { kind, inode, path, to, offset, bytes } = given;
    const file = this.#files.get(inode);
    switch (kind) {
      case 'C': {
        const made: File = { kind: 'file', durable: Buffer.alloc(0), pending: [] };
        this.#files.set(inode, made);
        this.#change({ operation, kind: 'add', path, node: made, from: '' });
        return;
      }
      case 'D':
        if (this.#seen.has(path)) return;
        this.#change({ operation, kind: 'add', path, node: { kind: 'directory' }, from: '' });
        return;
      case 'R':
        this.#change({
          operation,
          kind: 'rename',
          path: to,
          node: this.#seen.get(path),
          from: path,
        });
        return;
      case 'L':
        this.#change({ operation, kind: 'add', path: to, node: this.#seen.get(path), from: '' });
        return;
      case 'U':
        this.#change({ operation, kind: 'remove', path, node: undefined, from: '' });
        return;
      case 'W':
      case 'w':
        file?.pending.push({ operation, at: offset, bytes, synced: kind === 'w' });
        return;
      case 'T':
        file?.pending.push({ operation, at: offset, bytes: undefined, synced: false });
        return;
      case 'F':
        if (file !== undefined) settle(file);
        return;
      case 'd':
        this.#settleNames((change) => parent(change.path) === path);
        return;
      case 'S':
        this.#settleNames(() => true);
        for (const each of this.#files.values()) settle(each);
        return;
      case 'M':
        return;
    }
  }

  /** What is there after a cut of the power, of what `fate` lets through. */
  cut(fate: Fate): Tree {
    const names = new Map(this.#durable);
    for (const change of this.#names) if (fate.name(change.operation)) move(names, change);
    const tree: Tree = new Map();
    const contents = new Map<File, Buffer>();
    for (const path of [...names.keys()].sort()) {
      if (path === '/') continue;
      // What is in a directory that is not there cannot be found.
      const above = parent(path);
      if (above !== '/' && tree.get(above) !== null) continue;
      const node = names.get(path);
      if (node?.kind !== 'file') {
        tree.set(path, null);
        continue;
      }
      const bytes = contents.get(node) ?? contentsOf(node, fate);
      contents.set(node, bytes);
      tree.set(path, bytes);
    }
    return tree;
  }

  #change(change: NameChange): void {
    if (change.kind !== 'remove' && change.node === undefined) return;
    move(this.#seen, change);
    this.#names.push(change);
  }

  #settleNames(covered: (change: NameChange) => boolean): void {
    const left: NameChange[] = [];
    for (const change of this.#names) {
      if (covered(change)) move(this.#durable, change);
      else left.push(change);
    }
    this.#names = left;
  }
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function move(names: Map<string, Node>, { kind, path, node, from }: NameChange): void {
  if (kind === 'rename') {
    for (const name of [...names.keys()]) {
      if (!name.startsWith(`${from}/`)) continue;
      names.set(path + name.slice(from.length), names.get(name) as Node);
      names.delete(name);
    }
    names.delete(from);
  }
  if (kind === 'remove') names.delete(path);
  else if (node !== undefined) names.set(path, node);
}

function settle(file: File): void {
  if (file.pending.length === 0) return;
  file.durable = contentsOf(file, EVERYTHING);
  file.pending = [];
}

function contentsOf(file: File, fate: Fate): Buffer {
  if (file.pending.length === 0) return file.durable;
  let size = file.durable.length;
  let highest = size;
  for (const { at, bytes } of file.pending) highest = Math.max(highest, at + (bytes?.length ?? 0));
  const out = Buffer.alloc(highest);
  file.durable.copy(out);
  for (const { operation, at, bytes, synced } of file.pending) {
    if (bytes === undefined) {
      if (!fate.size(operation)) continue;
      if (at < size) out.fill(0, at, size);
      size = at;
      continue;
    }
    if (!synced && fate.extended(operation)) size = Math.max(size, at + bytes.length);
    for (let from = at; from < at + bytes.length; ) {
      const sector = Math.floor(from / SECTOR);
      const end = Math.min((sector + 1) * SECTOR, at + bytes.length);
      if (synced || fate.sector(operation, sector)) {
        bytes.copy(out, from, from - at, end - at);
        size = Math.max(size, end);
      }
      from = end;
    }
  }
  return out.subarray(0, size);
}

const always = () => true;
const never = () => false;

/** As after the death of the process alone. */
export const EVERYTHING: Fate = { name: always, size: always, sector: always, extended: always };
/** Only what was synced. */
export const NOTHING: Fate = { name: never, size: never, sector: never, extended: never };

/** Every name, and of the bytes only what was synced: names are often written first. */
export const NAMES: Fate = { name: always, size: never, sector: never, extended: never };
/** The other way round. */
export const BYTES: Fate = { name: never, size: always, sector: always, extended: always };

/** A chance for each page, and in one of four pages for each of its sectors. */
export function atRandom(random: () => number): Fate {
  const share = random();
  const pages = new Map<string, boolean | undefined>();
  const one = () => random() < share;
  return {
    name: one,
    size: one,
    extended: one,
    sector(operation, sector) {
      const page = `${operation}.${Math.floor((sector * SECTOR) / PAGE)}`;
      if (!pages.has(page)) pages.set(page, random() < 0.25 ? undefined : one());
      return pages.get(page) ?? one();
    },
  };
}

/** All operations but one, or none but one. */
export function allBut(operation: number, others = true): Fate {
  const other = (each: number) => (each === operation) !== others;
  return { name: other, size: other, extended: other, sector: other };
}

/** mulberry32: the same numbers for the same seed, in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function digestOfTree(tree: Tree): string {
  const hash = createHash('sha1');
  for (const [path, bytes] of tree) hash.update(`${path}\0${bytes?.length}\0`).update(bytes ?? '');
  return hash.digest('hex');
}

/** Writes the tree into `root`, in place of what is there. Zeros become holes: most of it is. */
export function writeTree(root: string, tree: Tree): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  for (const [path, bytes] of tree) {
    const place = join(root, path);
    if (bytes === null) {
      mkdirSync(place, { recursive: true });
      continue;
    }
    const fd = openSync(place, 'w', 0o600);
    ftruncateSync(fd, bytes.length);
    for (let at = 0; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE);
      if (!page.equals(ZEROS.subarray(0, page.length))) writeSync(fd, page, 0, page.length, at);
    }
    closeSync(fd);
  }
}

const ZEROS = Buffer.alloc(PAGE);
