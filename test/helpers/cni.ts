import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon } from '../../src/native/addon.ts';
import type { FileOp } from '../../src/native/types.ts';
import type { CniAttachment, CniResultTable } from '../../src/network/cni/index.ts';
import { CniNetwork, type CniNetworkOptions } from '../../src/network/cni/index.ts';
import type { AttachRequest } from '../../src/network/index.ts';

/** A table in memory that commits in a later turn and can be told to fail, like a full disk. */
export class MemoryCniTable implements CniResultTable {
  readonly committed: Map<string, CniAttachment>;
  /** Puts that still succeed. */
  putsLeft = Number.POSITIVE_INFINITY;
  removeFails = false;

  constructor(committed = new Map<string, CniAttachment>()) {
    this.committed = committed;
  }

  get(key: string): CniAttachment | undefined {
    return this.committed.get(key);
  }

  entries(): Iterable<[string, CniAttachment]> {
    return this.committed.entries();
  }

  async put(key: string, value: CniAttachment): Promise<void> {
    await new Promise(setImmediate);
    if (this.putsLeft-- <= 0) throw new Error('ENOSPC: no space left on device');
    // What a store brings back is plain data.
    this.committed.set(key, JSON.parse(JSON.stringify(value)) as CniAttachment);
  }

  async remove(key: string): Promise<void> {
    await new Promise(setImmediate);
    if (this.removeFails) throw new Error('ENOSPC: no space left on device');
    this.committed.delete(key);
  }
}

/** One run of a fake plugin, as it saw it. */
export interface Call {
  plugin: string;
  command: string;
  id: string;
  netns: string;
  ifName: string;
  args: string;
  path: string;
  config: Record<string, unknown>;
}

/**
 * Plugins that record how they are called. Each ADD takes an address, as a file named by plugin and
 * sandbox, and DEL gives it back; what else they do is a script for plugin and command.
 */
const SCRIPT = `#!/bin/sh
base=$(dirname "$(dirname "$0")")
me=\${0##*/}
input=$(cat)
printf '{"plugin":"%s","command":"%s","id":"%s","netns":"%s","ifName":"%s","args":"%s","path":"%s","config":%s}\\n' \\
  "$me" "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$CNI_PATH" "$input" >> "$base/calls"
held="$base/held/$me-$CNI_CONTAINERID"
[ "$CNI_COMMAND" = ADD ] && : > "$held"
[ -f "$base/do/$me-$CNI_COMMAND" ] && . "$base/do/$me-$CNI_COMMAND"
case $CNI_COMMAND in
  VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}' ;;
  ADD) printf '{"interfaces":[{"name":"veth0"},{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"%s"}],"ips":[{"address":"10.1.0.5/24","gateway":"10.1.0.1","interface":1}],"by":"%s"}' "$CNI_NETNS" "$me" ;;
  DEL) rm -f "$held" ;;
esac
`;

export class FakePlugins {
  readonly base: string;

  private constructor(base: string) {
    this.base = base;
  }

  static async make(...plugins: string[]): Promise<FakePlugins> {
    const fake = new FakePlugins(await mkdtemp(join(tmpdir(), 'coracle-cni-')));
    for (const dir of ['bin', 'conf', 'held', 'do', 'netns']) await mkdir(join(fake.base, dir));
    for (const plugin of plugins) await fake.install(plugin);
    return fake;
  }

  get binDir(): string {
    return join(this.base, 'bin');
  }

  get confDir(): string {
    return join(this.base, 'conf');
  }

  async install(plugin: string, script = SCRIPT): Promise<void> {
    const path = join(this.binDir, plugin);
    await writeFile(path, script);
    await chmod(path, 0o755);
  }

  /** A conflist of these plugins, each a type or a whole object. */
  async configure(
    plugins: (string | object)[],
    keys: object = { cniVersion: '1.0.0' },
    file = '10-net.conflist',
  ): Promise<void> {
    const list = plugins.map((plugin) => (typeof plugin === 'string' ? { type: plugin } : plugin));
    await writeFile(
      join(this.confDir, file),
      JSON.stringify({ name: 'net', ...keys, plugins: list }),
    );
  }

  /** Shell that a plugin runs for a command, before it answers; none takes it back. */
  async on(plugin: string, command: string, script?: string): Promise<void> {
    const path = join(this.base, 'do', `${plugin}-${command}`);
    if (script === undefined) await rm(path, { force: true });
    else await writeFile(path, script);
  }

  /** Without VERSION calls, unless asked for. */
  async calls(command?: string): Promise<Call[]> {
    const text = await readFile(join(this.base, 'calls'), 'utf8').catch(() => '');
    // What comes after the last end of a line is still being written.
    const lines = text.split('\n').slice(0, -1);
    const all = lines.map((line) => JSON.parse(line) as Call);
    return all.filter((call) =>
      command === undefined ? call.command !== 'VERSION' : call.command === command,
    );
  }

  async forgetCalls(): Promise<void> {
    await rm(join(this.base, 'calls'), { force: true });
  }

  /** Addresses that are taken. */
  async held(): Promise<string[]> {
    return (await readdir(join(this.base, 'held'))).sort();
  }

  async pins(): Promise<string[]> {
    return (await readdir(join(this.base, 'netns'))).sort();
  }

  /** What a script has written below the base directory. */
  async read(file: string): Promise<string> {
    return await readFile(join(this.base, file), 'utf8');
  }

  open(table: CniResultTable, options: Partial<CniNetworkOptions> = {}): Promise<CniNetwork> {
    return CniNetwork.open({
      addon: { spawn: addon.spawn, runFileOps: pinByFile },
      confDir: this.confDir,
      binDirs: [this.binDir],
      timeoutMs: 10_000,
      results: table,
      netnsDir: join(this.base, 'netns'),
      ...options,
    });
  }

  async remove(): Promise<void> {
    await rm(this.base, { recursive: true, force: true });
  }
}

/** Pins by empty files, which take no privilege. To plugins, such a namespace is gone. */
async function pinByFile(ops: FileOp[]): Promise<void> {
  for (const op of ops) {
    if (op.op === 'bindFile') await writeFile(op.path, '');
    else if (op.op === 'unbindFile') await rm(op.path, { force: true });
    else await addon.runFileOps([op]);
  }
}

export function attachRequest(sandboxId: string, more: Partial<AttachRequest> = {}): AttachRequest {
  return {
    sandboxId,
    pod: { name: 'web', namespace: 'default', uid: 'u-1' },
    hostPorts: [],
    bandwidth: {},
    monitor: { pid: process.pid, socket: () => Promise.reject(new Error('no monitor')) },
    ...more,
  };
}

/** An id of the form that the store makes. */
export function idOf(n: number): string {
  return n.toString(16).padStart(64, '0');
}
