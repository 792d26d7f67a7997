import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import * as v from 'valibot';
import { expectation } from '../embed/options/check.ts';
import { CoracleError, messageOf, quote } from '../errors.ts';
import type { LOG_LEVELS } from '../observe/logger.ts';
import type { RuntimeOptions } from '../runtime/context.ts';
import type { StreamServerOptions } from '../streaming/server.ts';
import { type GivenSettings, type SettingName, settingsSchema } from './settings-schema.ts';

/** Read where no other file is named, if it is there. */
export const DEFAULT_CONFIG = '/etc/coracle/config.toml';

export interface Settings {
  /** Address of the CRI socket: "unix:///run/coracle/coracle.sock". */
  listen: string;
  logLevel: (typeof LOG_LEVELS)[number];
  runtime: RuntimeOptions;
  streaming: StreamServerOptions;
  /** Where metrics are served, "HOST:PORT"; absent: nowhere. */
  metricsAddress?: string;
}

/** What commander hands over: the flags in camel case, text or absent. */
export interface Flags {
  config?: string;
  listen?: string;
  root?: string;
  state?: string;
  cgroupDriver?: string;
  logLevel?: string;
  streamAddress?: string;
  metricsAddress?: string;
  cniConfDir?: string;
  cniBinDir?: string;
}

const FLAG_NAMES = {
  listen: 'listen',
  root: 'root',
  state: 'state',
  cgroupDriver: 'cgroup-driver',
  logLevel: 'log-level',
  streamAddress: 'stream-address',
  metricsAddress: 'metrics-address',
  cniConfDir: 'cni-conf-dir',
  cniBinDir: 'cni-bin-dir',
} as const satisfies Record<Exclude<keyof Flags, 'config'>, SettingName>;

const DIRECTORIES = new Set<SettingName>(['root', 'state', 'cni-conf-dir']);
/** Of these there may be several, joined by colons. */
const DIRECTORY_LISTS = new Set<SettingName>(['cni-bin-dir']);

const DEFAULTS = {
  listen: 'unix:///run/coracle/coracle.sock',
  root: '/var/lib/coracle',
  state: '/run/coracle',
  'cgroup-driver': 'cgroupfs',
  'log-level': 'info',
  'max-log-line': 16 * 1024,
  'exec-drain-timeout-ms': 10_000,
  'stream-address': '127.0.0.1:0',
  'stream-idle-timeout-ms': 4 * 60 * 60 * 1000,
  'network-bridge': 'coracle0',
  'cni-bin-dir': '/opt/cni/bin:/usr/lib/cni',
  'cni-timeout-ms': 60_000,
  'registry-config-dir': '/etc/coracle/certs.d',
  'pull-progress-timeout-ms': 300_000,
  'max-concurrent-downloads': 3,
  'pinned-images': [],
} as const satisfies GivenSettings;

/**
 * The settings of a command: flags over file over defaults. Throws InvalidArgument naming the key
 * or flag that is wrong, and NotFound for a file that is named and not there.
 */
export function loadSettings(flags: Flags): Settings {
  const given = {
    ...DEFAULTS,
    ...readConfigFile(flags.config),
    ...checkFlags(flags),
  };
  return {
    listen: given.listen,
    logLevel: given['log-level'],
    runtime: {
      root: given.root,
      state: given.state,
      cgroupDriver: given['cgroup-driver'],
      maxLogLine: given['max-log-line'],
      execDrainTimeoutMs: given['exec-drain-timeout-ms'],
      network: networkOptions(given),
      images: {
        registryConfigDirs: given['registry-config-dir'].split(':'),
        progressTimeoutMs: given['pull-progress-timeout-ms'],
        maxDownloads: given['max-concurrent-downloads'],
        pinned: given['pinned-images'],
      },
    },
    streaming: streamingOptions(given),
    ...(given['metrics-address'] !== undefined && { metricsAddress: given['metrics-address'] }),
  };
}

type FullSettings = GivenSettings & Required<Pick<GivenSettings, keyof typeof DEFAULTS>>;

function streamingOptions(given: FullSettings): StreamServerOptions {
  const cert = given['stream-tls-cert'];
  const key = given['stream-tls-key'];
  if ((cert === undefined) !== (key === undefined)) {
    const what = 'stream-tls-cert and stream-tls-key: one is of no use without the other';
    throw new CoracleError('InvalidArgument', what);
  }
  return {
    address: given['stream-address'],
    ...(cert !== undefined && key !== undefined && { tls: { cert, key } }),
    idleTimeoutMs: given['stream-idle-timeout-ms'],
    drainTimeoutMs: given['exec-drain-timeout-ms'],
  };
}

function networkOptions(given: FullSettings): RuntimeOptions['network'] {
  const subnet = given['network-subnet'];
  const subnet6 = given['network-subnet6'];
  const cniConfDir = given['cni-conf-dir'];
  return {
    bridge: given['network-bridge'],
    ...(subnet !== undefined && { subnet }),
    ...(subnet6 !== undefined && { subnet6 }),
    ...(cniConfDir !== undefined && { cniConfDir }),
    cniBinDirs: given['cni-bin-dir'].split(':'),
    cniTimeoutMs: given['cni-timeout-ms'],
  };
}

function readConfigFile(path: string | undefined): GivenSettings {
  const file = path ?? DEFAULT_CONFIG;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && path === undefined) return {};
    const kind = missing ? 'NotFound' : 'Unavailable';
    throw new CoracleError(kind, `config file ${file}: ${messageOf(error)}`, { cause: error });
  }
  return parseConfig(text, file);
}

/** The settings of a configuration file's text; `file` is its name for messages. */
export function parseConfig(text: string, file: string): GivenSettings {
  try {
    return validate(parse(text), (key) => `config file ${file}: ${key}`);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The message goes on with a drawing of the place; its first line says what is wrong.
    const what = error.message.split('\n', 1)[0] ?? '';
    const place = `config file ${file}, line ${error.line}, column ${error.column}`;
    throw new CoracleError('InvalidArgument', `${place}: ${what}`, { cause: error });
  }
}

function checkFlags(flags: Flags): GivenSettings {
  const given: Record<string, string> = {};
  for (const [flag, name] of Object.entries(FLAG_NAMES)) {
    const value = flags[flag as keyof typeof FLAG_NAMES];
    if (value === undefined) continue;
    // A directory on the command line is where the caller stands; in a file it would be anywhere.
    if (DIRECTORIES.has(name)) given[name] = fromHere(value);
    else if (DIRECTORY_LISTS.has(name)) given[name] = value.split(':').map(fromHere).join(':');
    else given[name] = value;
  }
  return validate(given, (key) => `--${key}`);
}

/** Nothing stays nothing, and is refused: it does not mean the place where the caller stands. */
function fromHere(path: string): string {
  return path === '' ? '' : resolve(path);
}

function validate(input: unknown, where: (key: string) => string): GivenSettings {
  const result = v.safeParse(settingsSchema, input, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const key = v.getDotPath(issue) ?? '';
  if (issue.type === 'strict_object') {
    throw new CoracleError('InvalidArgument', `${where(key)}: there is no such key`);
  }
  throw new CoracleError(
    'InvalidArgument',
    `${where(key)}: ${quote(issue.input)} ${expectation(issue)}`,
  );
}
