import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import type { Addon, SpawnResult } from '../../native/types.ts';
import { isObject, type JsonObject } from './conf.ts';
import { type CallSite, CniFailure } from './failure.ts';
import { findPlugin } from './find-plugin.ts';

/** What calls of plugins need of their surroundings. */
export interface PluginHost {
  readonly addon: Pick<Addon, 'spawn'>;
  /** Directories of plugins, searched in this order. */
  readonly binDirs: readonly string[];
  /** How long one call may take, ms; then the plugin and what it started are killed. */
  readonly timeoutMs: number;
}

/** Which attachment a call is about; `netns` is empty where the namespace is gone. */
export interface AttachmentParameters {
  readonly sandboxId: string;
  readonly netns: string;
  readonly ifName: string;
  readonly args: string;
}

export interface PluginCall extends CallSite {
  /** What the plugin reads from its standard input. */
  readonly config: JsonObject;
  /** Absent where the command is about no attachment. */
  readonly attachment?: AttachmentParameters | undefined;
}

/** Bytes kept of each output stream. A result has a few KB. */
const MAX_OUTPUT = 1024 * 1024;
/** Of what a plugin wrote to standard error, so much at the end goes into a message, characters. */
const STDERR_TAIL = 500;
/** A program that is just being replaced cannot be run: pauses between attempts, ms. */
const BUSY_PAUSE_MS = 200;

/** These belong to this process' own service manager. */
const WITHHELD =
  /^(NOTIFY_SOCKET|LISTEN_FDS|LISTEN_PID|LISTEN_FDNAMES|WATCHDOG_USEC|WATCHDOG_PID)=/;

/**
 * Runs one plugin once (CNI spec 1.1.0, section 2).
 *
 * @returns what it printed.
 * @throws CniFailure with what the plugin says of its failure; DeadlineExceeded where it took too
 *   long, FailedPrecondition where there is no such plugin.
 */
export async function callPlugin(host: PluginHost, call: PluginCall): Promise<string> {
  const result = await spawnFound(host, call);
  if (result.timedOut) {
    const limit = `did not end within ${host.timeoutMs / 1000} s and was killed`;
    throw new CniFailure(call, `${limit}${stderrOf(result)}`, { kind: 'DeadlineExceeded' });
  }
  if (result.exitCode !== 0) throw pluginFailure(call, result);
  if (Buffer.byteLength(result.stdout) >= MAX_OUTPUT) {
    throw new CniFailure(call, `printed more than ${MAX_OUTPUT} bytes`);
  }
  return result.stdout;
}

/** Mostly the plugin is in the first directory: only one that cannot be run there is looked for. */
async function spawnFound(host: PluginHost, call: PluginCall): Promise<SpawnResult> {
  const [first] = host.binDirs;
  if (first !== undefined) {
    try {
      return await spawnPatiently(host, call, join(first, call.plugin));
    } catch (error) {
      if (!isNotRun(error)) throw error;
    }
  }
  return spawnPatiently(host, call, await findPlugin(host.binDirs, call));
}

/** Of execve(2), where there is no such file, or none that is a program. */
function isNotRun(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES';
}

async function spawnPatiently(
  host: PluginHost,
  call: PluginCall,
  file: string,
): Promise<SpawnResult> {
  const end = performance.now() + host.timeoutMs;
  for (;;) {
    try {
      return await host.addon.spawn({
        file,
        argv: [file],
        env: environment(host, call),
        stdin: JSON.stringify(call.config),
        cwd: '/',
        timeoutMs: host.timeoutMs,
        maxOutput: MAX_OUTPUT,
      });
    } catch (error) {
      const busy = (error as { code?: unknown }).code === 'ETXTBSY';
      if (!busy || performance.now() + BUSY_PAUSE_MS > end) {
        throw new CniFailure(call, messageOf(error), { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
    }
  }
}

/**
 * The environment of this process, as libcni passes it on: plugins find proxies and credentials
 * there. The protocol's own variables are always set, so that none is inherited.
 */
function environment(host: PluginHost, { command, attachment }: PluginCall): string[] {
  const inherited = Object.entries(process.env)
    .map(([name, value]) => `${name}=${value}`)
    .filter((entry) => !entry.startsWith('CNI_') && !WITHHELD.test(entry));
  if (process.env.PATH === undefined) inherited.push('PATH=/usr/sbin:/usr/bin:/sbin:/bin');
  return [
    ...inherited,
    `CNI_COMMAND=${command}`,
    `CNI_CONTAINERID=${attachment?.sandboxId ?? ''}`,
    `CNI_NETNS=${attachment?.netns ?? ''}`,
    `CNI_IFNAME=${attachment?.ifName ?? ''}`,
    `CNI_ARGS=${attachment?.args ?? ''}`,
    `CNI_PATH=${host.binDirs.join(':')}`,
  ];
}

/** A failed plugin prints an error result on standard output; older ones write to standard error. */
function pluginFailure(call: PluginCall, result: SpawnResult): CniFailure {
  const error = errorResult(result.stdout);
  const tail = stderrOf(result);
  if (error) {
    const details = error.details && error.details !== error.msg ? `; ${error.details}` : '';
    const code = error.code === undefined ? '' : ` (code ${error.code})`;
    return new CniFailure(call, `${error.msg}${details}${code}${tail}`, { code: error.code });
  }
  const printed = result.stdout.trim().slice(0, STDERR_TAIL);
  const garbage = printed && `; it printed ${JSON.stringify(printed)}`;
  return new CniFailure(call, `failed with exit code ${result.exitCode}${garbage}${tail}`);
}

function errorResult(
  text: string,
): { msg: string; details: string; code: number | undefined } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { msg, details, code } = value;
  if (typeof msg !== 'string' && typeof code !== 'number') return undefined;
  return {
    msg: typeof msg === 'string' && msg !== '' ? msg : 'failed',
    details: typeof details === 'string' ? details : '',
    code: typeof code === 'number' ? code : undefined,
  };
}

function stderrOf({ stderr }: SpawnResult): string {
  const text = stderr.trim();
  if (text === '') return '';
  const tail = text.length > STDERR_TAIL ? `…${text.slice(-STDERR_TAIL)}` : text;
  return `; stderr: ${JSON.stringify(tail)}`;
}
