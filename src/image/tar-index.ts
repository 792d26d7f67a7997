import { type FileHandle, open } from 'node:fs/promises';
import { CoracleError } from '../errors.ts';

export interface TarEntry {
  /** Position and length of the content in the archive's file. */
  offset: number;
  size: number;
  /** Name of the member that this one is a hard or symbolic link to. */
  link: string | undefined;
}

const BLOCK = 512;
const MAX_MEMBERS = 1_000_000;
/** Characters of all their names and of the names that they link to. */
const MAX_NAMES = 64 << 20;
const MAX_EXTENDED_HEADER = 1 << 20;

/**
 * Where the members of an uncompressed tar are (POSIX.1-2001 pax, ustar, GNU long names). For the
 * archives around images, whose members are few and large; layers are unpacked natively. The last
 * of several members with one name counts. Throws DataLoss naming the file, or what it is `shown` as.
 */
export async function indexTar(path: string, shown = path): Promise<Map<string, TarEntry>> {
  const file = await open(path, 'r');
  try {
    return await readMembers(file, shown);
  } finally {
    await file.close();
  }
}

async function readMembers(file: FileHandle, path: string): Promise<Map<string, TarEntry>> {
  const members = new Map<string, TarEntry>();
  const { size: end } = await file.stat();
  const fail = (why: string): never => {
    throw new CoracleError('DataLoss', `${path} is no intact tar: ${why}`);
  };
  const header = Buffer.alloc(BLOCK);
  let names = 0;
  let pending: { name?: string; link?: string; size?: number } = {};
  for (let at = 0; at + BLOCK <= end; ) {
    await readExactly(file, header, at);
    at += BLOCK;
    if (header.every((byte) => byte === 0)) return members;
    if (!checksumFits(header)) fail(`a bad header at byte ${at - BLOCK}`);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = pending.size ?? number(header, 124, 12);
    if (!Number.isSafeInteger(size) || size < 0 || at + size > end) fail('it ends early');
    const content = async (): Promise<Buffer> => {
      if (size > MAX_EXTENDED_HEADER) fail('an extended header of more than 1 MiB');
      return readExactly(file, Buffer.alloc(size), at);
    };
    if (type === 'L') pending.name = text(await content(), 0, size);
    else if (type === 'K') pending.link = text(await content(), 0, size);
    else if (type === 'x') pending = { ...pending, ...paxFields(await content()) };
    else if (type !== 'g') {
      if (members.size >= MAX_MEMBERS) fail(`more than ${MAX_MEMBERS} members`);
      const name = normalise(pending.name ?? ustarName(header));
      const isLink = type === '1' || type === '2';
      const link = isLink
        ? linkTarget(type, name, pending.link ?? text(header, 157, 100))
        : undefined;
      names += name.length + (link?.length ?? 0);
      if (names > MAX_NAMES) fail('too many and too long names');
      if (isLink || type === '0' || type === '\0' || type === '7') {
        members.set(name, { offset: at, size: isLink ? 0 : size, link });
      }
      pending = {};
    }
    at += Math.ceil(size / BLOCK) * BLOCK;
  }
  return fail('it has no end marker');
}

async function readExactly(file: FileHandle, into: Buffer, position: number): Promise<Buffer> {
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw new CoracleError('DataLoss', 'a tar became shorter while read');
    done += bytesRead;
  }
  return into;
}

/** The header's own checksum counts itself as spaces. */
function checksumFits(header: Buffer): boolean {
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 32 : byte;
  return sum === number(header, 148, 8);
}

/** Octal, or GNU's base 256 where the top bit is set. */
function number(header: Buffer, offset: number, length: number): number {
  if (((header[offset] ?? 0) & 0x80) !== 0) {
    let value = (header[offset] ?? 0) & 0x7f;
    for (const byte of header.subarray(offset + 1, offset + length)) value = value * 256 + byte;
    return value;
  }
  const digits = text(header, offset, length).trim();
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

function text(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length);
  const nul = field.indexOf(0);
  return field.subarray(0, nul < 0 ? field.length : nul).toString('utf8');
}

function ustarName(header: Buffer): string {
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 6) === 'ustar' ? text(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Records of "length key=value\n", the length in bytes and counting itself. */
function paxFields(bytes: Buffer): { name?: string; link?: string; size?: number } {
  const fields: { name?: string; link?: string; size?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(bytes.toString('latin1', at, space));
    if (!Number.isSafeInteger(length) || length <= space - at || at + length > bytes.length) break;
    const record = bytes.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    const value = record.slice(equals + 1);
    const key = record.slice(0, equals);
    if (key === 'path') fields.name = value;
    else if (key === 'linkpath') fields.link = value;
    else if (key === 'size') fields.size = Number(value);
    at += length;
  }
  return fields;
}

/** "a/b" of "./a//b"; what climbs out of the archive names nothing in it. */
function normalise(name: string): string {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/** A hard link names a member; a symbolic one is relative to its own directory. */
function linkTarget(type: string, name: string, target: string): string {
  return normalise(type === '1' || target.startsWith('/') ? target : `${name}/../${target}`);
}
