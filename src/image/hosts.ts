import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError } from '../errors.ts';
import { isLoopback } from './connections.ts';
import { DEFAULT_DIAL_TIMEOUT_MS, type HostEntry, parseHostsFile } from './hosts-file.ts';
import { loadTls, type TlsFiles, type TlsMaterial } from './hosts-tls.ts';

/** A host that serves the images of a registry. */
export interface RegistryHost {
  /** The root of its API; ends in "/". */
  root: URL;
  /** Given by a `[host]` table; else it is the registry's server. */
  mirror: boolean;
  /** Another host than the registry's name says: it is told the name ("ns"). */
  proxy: boolean;
  resolve: boolean;
  pull: boolean;
  tls: TlsMaterial;
  headers: Record<string, string | string[]>;
  dialTimeoutMs: number;
  /** The hosts.toml that describes it, or could. */
  hostsFile: string;
}

const FILE = 'hosts.toml';
const NO_FILES: TlsFiles = { ca: [], client: [], skipVerify: false };

/**
 * The hosts of a registry ("docker.io", "localhost:5000"), in the order in which they are to be
 * asked; the last is the registry itself, unless its configuration names another server. Of each
 * directory, `<host>_<port>_`, `<host>:<port>` and `_default` are looked for; the first that is
 * there counts. It has a hosts.toml, or certificates as Docker names them: `*.crt` of CAs, `*.cert`
 * and `*.key` of clients. Throws FailedPrecondition naming the file, its key and the value.
 */
export async function findHosts(
  configDirs: readonly string[],
  registry: string,
): Promise<RegistryHost[]> {
  for (const root of configDirs) {
    for (const name of directoryNames(registry)) {
      const directory = join(root, name);
      const names = await namesIn(directory);
      if (names !== undefined) return readDirectory(directory, names, registry);
    }
  }
  const [first] = configDirs;
  const hostsFile = first ? join(first, registry, FILE) : `a ${FILE} for ${registry}`;
  return [await hostOf(serverEntry(NO_FILES), registry, false, hostsFile, '')];
}

/** Where the API of a registry is that nothing is configured for. */
export function defaultRoot(registry: string, tls: TlsFiles = NO_FILES): URL {
  if (registry === 'docker.io') return new URL('https://registry-1.docker.io/v2/');
  const url = new URL(`https://${registry}/v2/`);
  // Registries on loopback are tests and caches of the node: they speak plain HTTP, unless their
  // port or their configuration says otherwise.
  const secure = tls.ca.length + tls.client.length > 0 || tls.skipVerify;
  if (!isLoopback(url.hostname) || secure || registry.endsWith(':443')) return url;
  return new URL(`http://${registry}/v2/`);
}

function directoryNames(registry: string): string[] {
  const port = /^(.+):(\d+)$/.exec(registry);
  return [...(port ? [`${port[1]}_${port[2]}_`] : []), registry, '_default'];
}

async function namesIn(directory: string): Promise<string[] | undefined> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new CoracleError('FailedPrecondition', `${directory} cannot be read: ${code}`, {
      cause: error,
    });
  }
}

async function readDirectory(
  directory: string,
  names: string[],
  registry: string,
): Promise<RegistryHost[]> {
  const file = join(directory, FILE);
  const text = names.includes(FILE) ? await readText(file) : '';
  if (text === '') {
    const entry = serverEntry(certificateFiles(directory, names));
    return [await hostOf(entry, registry, false, file, `${directory}: `)];
  }
  const { mirrors, server } = parseHostsFile(text, file);
  return Promise.all([
    ...mirrors.map((entry) => hostOf(entry, registry, true, file, `${file}: `)),
    hostOf(server, registry, false, file, `${file}: `),
  ]);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CoracleError('FailedPrecondition', `${file} cannot be read: ${code}`, {
      cause: error,
    });
  }
}

function certificateFiles(directory: string, names: string[]): TlsFiles {
  const ending = (end: string) => names.filter((name) => name.endsWith(end));
  return {
    ca: ending('.crt').map((name) => join(directory, name)),
    client: ending('.cert').map((name) => {
      const key = name.replace(/cert$/, 'key');
      return {
        cert: join(directory, name),
        key: names.includes(key) ? join(directory, key) : undefined,
      };
    }),
    skipVerify: false,
  };
}

function serverEntry(tls: TlsFiles): HostEntry {
  return {
    root: undefined,
    resolve: true,
    pull: true,
    tls,
    headers: {},
    dialTimeoutMs: DEFAULT_DIAL_TIMEOUT_MS,
  };
}

async function hostOf(
  entry: HostEntry,
  registry: string,
  mirror: boolean,
  hostsFile: string,
  where: string,
): Promise<RegistryHost> {
  const { resolve, pull, headers, dialTimeoutMs } = entry;
  const root = entry.root ?? defaultRoot(registry, entry.tls);
  const proxy = root.host !== defaultRoot(registry).host;
  const tls = await loadTls(entry.tls, where);
  return { root, mirror, proxy, resolve, pull, tls, headers, dialTimeoutMs, hostsFile };
}
