import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError } from '../errors.ts';
import type { Addon, SeccompSpec } from '../native/types.ts';

/** sizeof(struct sock_filter), and the most of them in a program (BPF_MAXINSNS). */
const INSTRUCTION = 8;
const MAX_INSTRUCTIONS = 4096;
/** Counts the ways in which the addon has compiled: what an older one made is made anew. */
const COMPILER = 2;
/** A sha256 in hexadecimal. */
const HASH_LENGTH = 64;

export interface SeccompCacheOptions {
  addon: Pick<Addon, 'compileSeccomp'>;
  /** The runtime's root directory; programs are kept in its "seccomp". */
  root: string;
  /**
   * Of the compiler; another one compiles anew, since it may know more system calls. The
   * architecture is part of the key in any case.
   */
  version?: string;
}

/**
 * Compiled seccomp profiles. Compiling takes 14 ms for the default profile, so each one is
 * compiled once and kept, in memory and on disk. A file on disk is the sha256 of the program, in
 * hexadecimal, and the program: one that was cut short or altered is compiled again. A disk that can't be written
 * costs the time only.
 */
export class SeccompCache {
  readonly #options: SeccompCacheOptions;
  readonly #programs = new Map<string, Promise<Uint8Array>>();
  /** Containers share a profile's object, and hashing one takes longer than a start may. */
  readonly #keys = new WeakMap<SeccompSpec, string>();

  constructor(options: SeccompCacheOptions) {
    this.#options = options;
  }

  /** The program of a profile: struct sock_filter[]. Rejects with the compiler's NativeError. */
  program(spec: SeccompSpec): Promise<Uint8Array> {
    let key = this.#keys.get(spec);
    if (key === undefined) {
      key = seccompKey(spec, `${process.arch} ${COMPILER} ${this.#options.version ?? ''}`);
      this.#keys.set(spec, key);
    }
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const made = this.#load(key, spec);
    this.#programs.set(key, made);
    // A failure is not kept: it may have been the memory or the disk.
    made.catch(() => this.#programs.delete(key));
    return made;
  }

  async #load(key: string, spec: SeccompSpec): Promise<Uint8Array> {
    const file = join(this.#options.root, 'seccomp', `${key}.bpf`);
    const stored = await readFile(file).catch(() => undefined);
    const program = stored === undefined ? undefined : verified(new Uint8Array(stored));
    if (program !== undefined) return program;
    const compiled = await this.#options.addon.compileSeccomp(spec);
    const length = compiled.length / INSTRUCTION;
    if (length > MAX_INSTRUCTIONS) {
      throw new CoracleError(
        'FailedPrecondition',
        `seccomp profile compiles to ${length} instructions, and the kernel loads ${MAX_INSTRUCTIONS}`,
      );
    }
    await this.#keep(file, compiled);
    return compiled;
  }

  async #keep(file: string, program: Uint8Array): Promise<void> {
    const temporary = `${file}.${randomUUID()}`;
    try {
      await mkdir(join(this.#options.root, 'seccomp'), { recursive: true, mode: 0o700 });
      await writeFile(temporary, sealed(program), { mode: 0o600 });
      await rename(temporary, file);
    } catch {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }
}

/** The same for the same rules, whatever the order of an object's keys. */
export function seccompKey(spec: SeccompSpec, version: string): string {
  const canonical = JSON.stringify(spec, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
  return createHash('sha256').update(`${version}\0${canonical}`).digest('hex');
}

function sealed(program: Uint8Array): Uint8Array {
  const file = new Uint8Array(HASH_LENGTH + program.length);
  file.set(new TextEncoder().encode(hashOf(program)));
  file.set(program, HASH_LENGTH);
  return file;
}

function verified(stored: Uint8Array): Uint8Array | undefined {
  const program = stored.subarray(HASH_LENGTH);
  const length = program.length;
  if (length === 0 || length % INSTRUCTION !== 0 || length / INSTRUCTION > MAX_INSTRUCTIONS) {
    return undefined;
  }
  const hash = new TextDecoder('latin1').decode(stored.subarray(0, HASH_LENGTH));
  return hash === hashOf(program) ? program : undefined;
}

function hashOf(program: Uint8Array): string {
  return createHash('sha256').update(program).digest('hex');
}
