import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One file operation, or a mark of the program that was recorded; see record.cc. */
export interface Operation {
  readonly kind: 'C' | 'D' | 'W' | 'w' | 'T' | 'F' | 'd' | 'S' | 'R' | 'L' | 'U' | 'M';
  readonly inode: number;
  /** Where bytes were written, or the size that a file was cut to. */
  readonly offset: number;
  /** Below the recorded directory, with a leading slash. */
  readonly path: string;
  readonly to: string;
  readonly bytes: Buffer;
}

export interface RecordedRun {
  readonly operations: readonly Operation[];
  /** How the last program of them ended. */
  readonly exit: { code: number | null; signal: NodeJS.Signals | null };
}

const HEADER = 25;
const SOURCE = join(import.meta.dirname, 'record.cc');

/** Records programs that run one after another on one directory, into one log. */
export class Recorder {
  readonly #library: string;
  readonly #log: string;
  readonly #root: string;

  /**
   * Keeps its log, `name`, in `scratch`, where the library is built if it is not there. Throws what
   * the compiler says.
   */
  constructor(scratch: string, root: string, name: string) {
    this.#library = join(scratch, 'record.so');
    this.#log = join(scratch, name);
    this.#root = root;
    if (existsSync(this.#library)) return;
    const flags = ['-std=c++20', '-O1', '-shared', '-fPIC', '-o', this.#library, SOURCE, '-ldl'];
    const { status, error, stderr } = spawnSync('c++', flags, { encoding: 'utf8' });
    if (status !== 0) throw error ?? new Error(`c++: ${stderr}`);
  }

  /**
   * Runs a program of test/fault with the root, the file for its marks, and `args` as arguments.
   * Resolves when it has ended, however it did. Programs with different `boot` run in different
   * boots of the machine, as far as they can tell.
   */
  async run(program: string, args: readonly string[], boot: number): Promise<RecordedRun> {
    const marks = `${this.#log}.marks`;
    const file = join(import.meta.dirname, program);
    const child = spawn(process.execPath, ['--import', 'tsx', file, this.#root, marks, ...args], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        UV_USE_IO_URING: '0',
        LD_PRELOAD: this.#library,
        CORACLE_RECORD_ROOT: this.#root,
        CORACLE_RECORD_LOG: this.#log,
        CORACLE_RECORD_BOOT_ID: `${String(boot).padStart(8, '0')}-0000-4000-8000-000000000000`,
      },
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return { operations: decode(readFileSync(this.#log)), exit: { code, signal } };
  }
}

function decode(log: Buffer): Operation[] {
  const operations: Operation[] = [];
  for (let at = 0; at < log.length; ) {
    const middle = at + HEADER + log.readUInt32LE(at + 17);
    const end = middle + log.readUInt32LE(at + 21);
    const kind = String.fromCharCode(log[at] ?? 0) as Operation['kind'];
    const bytes = log.subarray(middle, end);
    operations.push({
      kind,
      inode: Number(log.readBigUInt64LE(at + 1)),
      offset: Number(log.readBigUInt64LE(at + 9)),
      path: log.toString('utf8', at + HEADER, middle),
      to: kind === 'R' || kind === 'L' ? bytes.toString() : '',
      bytes,
    });
    at = end;
  }
  return operations;
}
