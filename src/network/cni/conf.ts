import * as v from 'valibot';
import { CoracleError, messageOf } from '../../errors.ts';
import { CNI_VERSIONS, type CniVersion, isKnownVersion, UNSAID } from './version.ts';

export type JsonObject = Record<string, unknown>;

export interface PluginConf {
  /** File name of the plugin's program. */
  readonly type: string;
  /** Names of the capabilities that it asks for. */
  readonly capabilities: readonly string[];
  /** Everything that the configuration says of it. */
  readonly raw: JsonObject;
}

/** A network configuration (CNI spec 1.1.0, section 1). */
export interface NetworkConf {
  readonly name: string;
  /** Versions that it may be run with, the highest first; never empty. */
  readonly versions: readonly CniVersion[];
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  readonly loadOnlyInlinedPlugins: boolean;
  /** In the order of ADD. */
  readonly plugins: readonly PluginConf[];
  /** A conflist of all this, which `parseConflist` reads. */
  readonly text: string;
}

/** Beside JSON's own, the strings that libcni takes for booleans. */
const flag = v.optional(
  v.union([
    v.boolean(),
    v.pipe(
      v.string(),
      v.toLowerCase(),
      v.picklist(['true', 'false']),
      v.transform((text) => text === 'true'),
    ),
  ]),
  false,
);

/** Names become parts of paths: of cache files of plugins, of the plugins themselves. */
const networkName = v.pipe(
  v.string(),
  v.regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/,
    'is not a letter or digit, followed by letters, digits, "_", "." and "-"',
  ),
);
const pluginType = v.pipe(
  v.string(),
  v.regex(/^(?!\.{1,2}$)[^/\\\0]+$/, 'is not the name of a program'),
);

const pluginSchema = v.looseObject({
  type: pluginType,
  capabilities: v.nullish(v.record(v.string(), v.boolean())),
});

const versionKeys = {
  cniVersion: v.optional(v.string(), ''),
  cniVersions: v.optional(v.array(v.string())),
};

const conflistSchema = v.looseObject({
  name: networkName,
  ...versionKeys,
  disableCheck: flag,
  disableGC: flag,
  loadOnlyInlinedPlugins: flag,
  plugins: v.optional(v.array(pluginSchema), []),
});

const singleSchema = v.looseObject({ name: networkName, ...versionKeys, type: pluginType });

/**
 * A list of plugins, as in a .conflist file. It may be empty: plugins can lie in files of their own.
 *
 * @param file stands in the messages.
 * @throws InvalidArgument naming file and key.
 */
export function parseConflist(text: string, file: string): NetworkConf {
  const list = check(conflistSchema, parseJson(text, file), file);
  return {
    name: list.name,
    versions: versionsOf(list.cniVersion, list.cniVersions, file),
    disableCheck: list.disableCheck,
    disableGC: list.disableGC,
    loadOnlyInlinedPlugins: list.loadOnlyInlinedPlugins,
    plugins: list.plugins.map(pluginOf),
    text,
  };
}

/** One plugin, as in a .conf or .json file: a network with this plugin alone. */
export function parseSingle(text: string, file: string): NetworkConf {
  const raw = parseJson(text, file);
  if (isObject(raw) && 'plugins' in raw && !('type' in raw)) {
    throw bad(file, 'plugins', 'a list of plugins belongs into a file named *.conflist');
  }
  const { name, cniVersion, cniVersions } = check(singleSchema, raw, file);
  const list = { name, cniVersion, ...(cniVersions && { cniVersions }), plugins: [raw] };
  return parseConflist(JSON.stringify(list), file);
}

/** A network with plugins of separate files (each a plugin's object) after its own. */
export function withPlugins(
  network: NetworkConf,
  files: readonly { file: string; text: string }[],
): NetworkConf {
  if (files.length === 0) return network;
  const more = files.map(({ file, text }) => check(pluginSchema, parseJson(text, file), file));
  const list = JSON.parse(network.text) as JsonObject;
  const own = (list.plugins ?? []) as unknown[];
  return {
    ...network,
    plugins: [...network.plugins, ...more.map(pluginOf)],
    text: JSON.stringify({ ...list, plugins: [...own, ...more] }),
  };
}

function pluginOf(raw: v.InferOutput<typeof pluginSchema>): PluginConf {
  const capabilities = Object.entries(raw.capabilities ?? {})
    .filter(([, wanted]) => wanted)
    .map(([name]) => name);
  return { type: raw.type, capabilities, raw };
}

/** What `cniVersion` and `cniVersions` allow and we speak; versions of the future are passed over. */
function versionsOf(
  version: string,
  versions: readonly string[] | undefined,
  file: string,
): CniVersion[] {
  if (version === '' && !versions?.length) return [UNSAID];
  const said = [...new Set([...(versions ?? []), version])].filter((text) => text !== '');
  for (const text of said) {
    if (!/^\d+(\.\d+){0,2}$/.test(text)) {
      throw bad(file, 'cniVersion', `${JSON.stringify(text)} is not a version`);
    }
  }
  const known = said.filter(isKnownVersion);
  if (known.length === 0) {
    const range = `${CNI_VERSIONS[0]} to ${CNI_VERSIONS.at(-1)}`;
    throw bad(file, 'cniVersion', `${said.join(', ')} is not supported, which is ${range}`);
  }
  return known.sort((a, b) => CNI_VERSIONS.indexOf(b) - CNI_VERSIONS.indexOf(a));
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CoracleError('InvalidArgument', `${file}: not JSON: ${messageOf(error)}`);
  }
}

function check<S extends v.GenericSchema>(
  schema: S,
  input: unknown,
  file: string,
): v.InferOutput<S> {
  if (!isObject(input)) throw bad(file, '', 'not an object');
  const result = v.safeParse(schema, input, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const key = v.getDotPath(issue) ?? '';
  if (issue.input === undefined) throw bad(file, key, 'is missing');
  const own = issue.message.startsWith('Invalid') ? `is not ${issue.expected}` : issue.message;
  throw bad(file, key, `${JSON.stringify(issue.input)?.slice(0, 200)} ${own}`);
}

function bad(file: string, key: string, what: string): CoracleError {
  return new CoracleError('InvalidArgument', `${file}: ${key === '' ? '' : `${key}: `}${what}`);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
