import { dirname, posix, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import * as v from 'valibot';
import { CoracleError, messageOf } from '../errors.ts';
import type { TlsFiles } from './hosts-tls.ts';

/** One table of a hosts.toml. */
export interface HostEntry {
  /** The root of its API, with "/v2" unless the file overrides that; absent for the registry's. */
  root: URL | undefined;
  /** May say which manifest a tag means; may serve manifests and blobs. */
  resolve: boolean;
  pull: boolean;
  tls: TlsFiles;
  headers: Record<string, string | string[]>;
  dialTimeoutMs: number;
}

export interface HostsFile {
  /** In the order of the file; asked before the server. */
  mirrors: HostEntry[];
  server: HostEntry;
}

export const DEFAULT_DIAL_TIMEOUT_MS = 30_000;

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const DURATION = 'must be a duration as "1.5s" or "500ms"';

const path = v.pipe(v.string(), v.nonEmpty());
const paths = v.union([path, v.array(path)], 'must be a path or a list of paths');
const clients = v.union(
  [path, v.array(v.union([path, v.strictTuple([path, v.string()])]))],
  'must be a path, a list of paths, or a list of pairs of a certificate and its key',
);
const headerText = v.pipe(v.string(), v.regex(/^\P{Cc}*$/u, 'must be of one line'));
const headerValue = v.union(
  [headerText, v.array(headerText)],
  'must be a string or a list of strings, of one line each',
);
const entrySchema = {
  capabilities: v.optional(
    v.array(
      v.pipe(
        v.string(),
        v.toLowerCase(),
        v.picklist(
          ['pull', 'resolve', 'push', 'referrers'],
          'is not "pull", "resolve", "push" or "referrers"',
        ),
      ),
      'must be a list',
    ),
    [],
  ),
  ca: v.optional(paths, []),
  client: v.optional(clients, []),
  skip_verify: v.optional(v.boolean('must be true or false'), false),
  header: v.optional(
    v.record(v.pipe(v.string(), v.regex(/^[!#$%&'*+.^_`|~\w-]+$/)), headerValue),
    {},
  ),
  override_path: v.optional(v.boolean('must be true or false'), false),
  dial_timeout: v.optional(
    v.pipe(
      v.string(DURATION),
      v.check((text) => parseDuration(text) !== undefined, DURATION),
      v.transform(parseDuration),
    ),
  ),
};
const entryObject = v.strictObject(entrySchema, 'is not known here');
const fileObject = v.strictObject(
  {
    ...entrySchema,
    server: v.optional(v.string('must be a URL')),
    host: v.optional(v.record(v.string(), entryObject, 'must be tables: [host."https://…"]'), {}),
  },
  'is not known here',
);

type Entry = v.InferOutput<typeof entryObject>;

/**
 * Reads a hosts.toml as containerd has defined it (its docs/hosts.md), but for the keys "push" and
 * "referrers", which pulls have no use for. Throws FailedPrecondition naming file, key and value.
 */
export function parseHostsFile(text: string, file: string): HostsFile {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    // Its other lines quote the file.
    const [why] = messageOf(error).split('\n');
    const at = error instanceof TomlError ? `:${error.line}` : '';
    throw new CoracleError('FailedPrecondition', `${file}${at}: ${why}`);
  }
  const result = v.safeParse(fileObject, raw);
  if (!result.success) throw badKey(file, result.issues[0]);
  const { server, host, ...entry } = result.output;
  const directory = dirname(file);
  return {
    mirrors: Object.entries(host).map(([url, table]) =>
      entryOf(rootOf(url, table.override_path, `${file}: host`), table, directory),
    ),
    server: entryOf(
      server ? rootOf(server, entry.override_path, `${file}: server`) : undefined,
      entry,
      directory,
    ),
  };
}

/** Go's durations, which the files are written with; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)/gy)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return undefined;
  return parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * (UNITS_MS[unit ?? ''] ?? 0),
    0,
  );
}

function entryOf(root: URL | undefined, entry: Entry, directory: string): HostEntry {
  const at = (name: string) => resolve(directory, name);
  const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);
  const { capabilities } = entry;
  const any = capabilities.length === 0;
  return {
    root,
    resolve: any || capabilities.includes('resolve'),
    pull: any || capabilities.includes('pull'),
    tls: {
      ca: list(entry.ca).map(at),
      client: (typeof entry.client === 'string' ? [entry.client] : entry.client).map((one) => {
        const [cert, key] = typeof one === 'string' ? [one] : one;
        return { cert: at(cert), key: key ? at(key) : undefined };
      }),
      skipVerify: entry.skip_verify,
    },
    headers: Object.fromEntries(
      Object.entries(entry.header).map(([name, value]) => [name.toLowerCase(), value]),
    ),
    dialTimeoutMs: entry.dial_timeout ?? DEFAULT_DIAL_TIMEOUT_MS,
  };
}

/** "https://mirror/prefix/v2/" of "mirror/prefix"; with `override`, "https://mirror/prefix/". */
function rootOf(text: string, override: boolean, where: string): URL {
  const fail = (why: string) =>
    new CoracleError('FailedPrecondition', `${where}: ${JSON.stringify(text)} ${why}`);
  let url: URL;
  try {
    url = new URL(/^https?:\/\//.test(text) ? text : `https://${text}`);
  } catch {
    throw fail('is no URL of a host');
  }
  if (url.username !== '' || url.password !== '') {
    throw new CoracleError(
      'FailedPrecondition',
      `${where}: the URL of ${url.host} has credentials`,
    );
  }
  if (url.search !== '' || url.hash !== '' || text.includes('://') !== /^https?:/.test(text)) {
    throw fail('must be http:// or https://, a host, and at most a path');
  }
  // The name that people know is not where the registry is.
  if (url.host === 'docker.io') url.host = 'registry-1.docker.io';
  const clean = posix.normalize(`${url.pathname}/`);
  url.pathname = override || clean.endsWith('/v2/') ? clean : `${clean}v2/`;
  return url;
}

function badKey(file: string, issue: v.BaseIssue<unknown>): CoracleError {
  const key = issue.path?.map((item) => tomlKey(String(item.key))).join('.') ?? '';
  // A header may be a password.
  const secret = issue.path?.some((item) => item.key === 'header');
  const value = secret ? 'its value' : JSON.stringify(givenValue(issue));
  return new CoracleError('FailedPrecondition', `${file}: ${key}: ${value} ${issue.message}`);
}

/** Of an unknown key, the issue has the key as its input. */
function givenValue(issue: v.BaseIssue<unknown>): unknown {
  const last = issue.path?.at(-1);
  return last ? last.value : issue.input;
}

function tomlKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}
