import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../errors.ts';
import { type NetworkConf, parseConflist, parseSingle, withPlugins } from './conf.ts';

const EXTENSIONS = new Set(['.conf', '.conflist', '.json']);

/** The directory is looked at anew so often, whatever the kernel tells of it, ms. */
const POLL_MS = 2_000;
/** An event is followed by more: whoever writes a file does it in steps, ms. */
const DEBOUNCE_MS = 50;
/** A file younger than this may still be in the writing: it is not given up for the next one, ms. */
const SETTLE_MS = 500;

/** What a directory says; replaced as a whole. */
export interface LoadedConf {
  /** The first valid network by name of its file; undefined where there is none. */
  readonly network: NetworkConf | undefined;
  /** Its path; empty without a network. */
  readonly file: string;
  /** Why files before it do not count, each reason with the file's path. */
  readonly skipped: readonly string[];
}

/**
 * A directory of network configurations. It need not exist yet, and may be replaced by another one.
 *
 * As libcni does, the file whose name sorts first decides. Unlike there, a file that cannot be used
 * is passed over, and told.
 */
export class ConfDir {
  readonly dir: string;
  #current: LoadedConf = { network: undefined, file: '', skipped: [] };
  #onChange: (loaded: LoadedConf) => void;
  #watcher: FSWatcher | undefined;
  /** Device and inode of what is watched. */
  #watched = '';
  #poll: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(dir: string, onChange: (loaded: LoadedConf) => void = () => {}) {
    this.dir = dir;
    this.#onChange = onChange;
  }

  get current(): LoadedConf {
    return this.#current;
  }

  /** Reads the directory and starts to watch it. Keeps no process alive. */
  async open(): Promise<void> {
    await this.refresh();
    if (this.#closed) return;
    this.#poll = setInterval(() => void this.refresh(), POLL_MS).unref();
  }

  /** Resolves once the directory has been read after this call. Never rejects. */
  async refresh(): Promise<void> {
    // One that has begun may have passed what was written since.
    await this.#running;
    this.#running ??= this.#reload().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #reload(): Promise<void> {
    // Watched first: what changes while it is read is read again.
    await this.#follow();
    const loaded = await this.#load();
    if (this.#closed || !loaded || isDeepStrictEqual(loaded, this.#current)) return;
    this.#current = loaded;
    this.#onChange(loaded);
  }

  /** Undefined where the answer may be another one in a moment. */
  async #load(): Promise<LoadedConf | undefined> {
    const skipped: string[] = [];
    for (const file of await this.#files(this.dir, EXTENSIONS, skipped)) {
      try {
        const network = await this.#read(file);
        return { network, file, skipped };
      } catch (error) {
        if (this.#current.network && (await isFresh(file))) {
          this.#later(SETTLE_MS);
          return undefined;
        }
        skipped.push(messageOf(error));
      }
    }
    return { network: undefined, file: '', skipped };
  }

  async #read(file: string): Promise<NetworkConf> {
    const text = await readFile(file, 'utf8');
    if (extname(file) !== '.conflist') return parseSingle(text, file);
    const list = parseConflist(text, file);
    const network = list.loadOnlyInlinedPlugins ? list : await this.#withSiblings(list);
    if (network.plugins.length > 0) return network;
    throw new Error(`${file}: plugins: there is none, nor a file of one in ${list.name}/`);
  }

  /** CNI spec 1.1.0, section 1: plugins of files in the directory named as the network. */
  async #withSiblings(list: NetworkConf): Promise<NetworkConf> {
    const dir = join(this.dir, list.name);
    const paths = await this.#files(dir, new Set(['.conf']), []);
    const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
    return withPlugins(
      list,
      texts.map((text, i) => ({ file: paths[i] ?? dir, text })),
    );
  }

  async #files(dir: string, extensions: Set<string>, problems: string[]): Promise<string[]> {
    try {
      const entries = await readdir(dir, { withFileTypes: true });
      return entries
        .filter((entry) => !entry.isDirectory() && extensions.has(extname(entry.name)))
        .map((entry) => join(dir, entry.name))
        .sort();
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!missing) problems.push(`${dir}: ${messageOf(error)}`);
      return [];
    }
  }

  #later(ms: number): void {
    if (this.#closed) return;
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => void this.refresh(), ms).unref();
  }

  /** Watches what is at the path now. Where that fails (no inotify watch left), polling does. */
  async #follow(): Promise<void> {
    const found = await stat(this.dir).then(
      (stats) => `${stats.dev}:${stats.ino}`,
      () => '',
    );
    if (this.#closed || (found === this.#watched && (this.#watcher || found === ''))) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watched = found;
    if (found === '') return;
    try {
      const watcher = watch(this.dir, { persistent: false }, () => this.#later(DEBOUNCE_MS));
      watcher.on('error', () => {
        watcher.close();
        if (this.#watcher === watcher) this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      this.#watcher = undefined;
    }
  }
}

async function isFresh(file: string): Promise<boolean> {
  try {
    const age = Date.now() - (await stat(file)).mtimeMs;
    return age >= 0 && age < SETTLE_MS;
  } catch {
    return false;
  }
}
