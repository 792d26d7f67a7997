import * as v from 'valibot';
import { formatAddress, parseAddress } from '../cidr.ts';
import type { PodNetwork } from '../index.ts';
import type { JsonObject } from './conf.ts';
import { isObject } from './conf.ts';
import { atLeast, type CniVersion, isKnownVersion } from './version.ts';

const list = <S extends v.GenericSchema>(item: S) => v.nullish(v.array(item), []);
const text = v.nullish(v.string(), '');

/** What all versions from 0.3.0 on have in common, and is needed here. */
const resultSchema = v.looseObject({
  interfaces: list(v.looseObject({ name: v.string(), mac: text, sandbox: text })),
  ips: list(
    v.looseObject({
      address: v.string(),
      gateway: text,
      interface: v.nullish(v.pipe(v.number(), v.integer())),
    }),
  ),
  routes: list(v.looseObject({ dst: v.string(), gw: text })),
});

const legacyIp = v.nullish(
  v.looseObject({
    ip: v.string(),
    gateway: text,
    routes: list(v.looseObject({ dst: v.string(), gw: text })),
  }),
);
const legacySchema = v.looseObject({ ip4: legacyIp, ip6: legacyIp, dns: v.optional(v.unknown()) });

/**
 * What a plugin printed for ADD, in the form of the version that the network is run with: the next
 * plugin takes no other as `prevResult`. A result of that version is passed on untouched.
 *
 * @throws Error saying what is wrong with it.
 */
export function readResult(printed: string, version: CniVersion): JsonObject {
  if (printed.trim() === '') throw new Error('printed no result');
  let result: unknown;
  try {
    result = JSON.parse(printed);
  } catch {
    throw new Error(`printed no JSON but ${JSON.stringify(printed.slice(0, 200))}`);
  }
  if (!isObject(result)) throw new Error('printed JSON that is no object');
  const said = result.cniVersion;
  const own = said === undefined || said === null || said === '' ? version : said;
  if (typeof own !== 'string' || !isKnownVersion(own)) {
    throw new Error(`printed a result of the unknown version ${JSON.stringify(own)}`);
  }
  const converted = convert(result, own, version);
  // What is persisted and handed to other plugins is known to be readable.
  read(converted, version);
  return { ...converted, cniVersion: version };
}

/** What the pod has: its own link's addresses in the result's order, whatever their family. */
export function podNetwork(result: JsonObject, version: CniVersion, ifName: string): PodNetwork {
  const { interfaces, ips, routes } = read(result, version);
  const own = ips.filter(({ interface: index }) => {
    if (index === undefined || index === null) return true;
    const link = interfaces[index];
    if (!link) throw new Error(`gave an address to interface ${index}, which is not in its result`);
    return link.name === ifName;
  });
  const first = own[0];
  if (!first) throw new Error(`gave ${ifName} no IP address`);
  const addresses = own.map(({ address }) => plainAddress(address));
  const family = parseAddress(addresses[0] ?? '')?.family;
  const fallback = routes.find(
    ({ dst, gw }) => /^(0\.0\.0\.0|::)\/0$/.test(dst) && parseAddress(gw ?? '')?.family === family,
  );
  const link = interfaces.find(({ name, sandbox }) => name === ifName && sandbox !== '');
  return {
    ips: addresses,
    interfaceName: ifName,
    mac: link?.mac ?? '',
    gateway: first.gateway || fallback?.gw || '',
  };
}

function plainAddress(cidr: string): string {
  const address = parseAddress(cidr.split('/')[0] ?? '');
  if (!address) throw new Error(`gave the pod ${JSON.stringify(cidr)}, which is no address`);
  return formatAddress(address);
}

function read(result: JsonObject, version: CniVersion): v.InferOutput<typeof resultSchema> {
  const current = convert(result, version, '1.1.0');
  return parse(resultSchema, current);
}

function parse<S extends v.GenericSchema>(schema: S, input: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, input, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new Error(
    `printed a result whose ${v.getDotPath(issue) ?? 'form'} is not ${issue.expected}`,
  );
}

/** 0.1.0 and 0.2.0 have one address a family; 0.3.0 to 0.4.0 name the family of each. */
type Form = 'legacy' | 'families' | 'current';

function formOf(version: CniVersion): Form {
  if (!atLeast(version, '0.3.0')) return 'legacy';
  return atLeast(version, '1.0.0') ? 'current' : 'families';
}

function convert(result: JsonObject, from: CniVersion, to: CniVersion): JsonObject {
  if (formOf(from) === formOf(to)) return result;
  const current = formOf(from) === 'legacy' ? fromLegacy(result) : withoutFamilies(result);
  if (formOf(to) === 'current') return current;
  return formOf(to) === 'legacy' ? toLegacy(current) : withFamilies(current);
}

function fromLegacy(result: JsonObject): JsonObject {
  const { ip4, ip6, dns } = parse(legacySchema, result);
  const both = [ip4, ip6].filter((each) => each !== null && each !== undefined);
  return {
    ips: both.map(({ ip, gateway }) => ({ address: ip, ...(gateway && { gateway }) })),
    // There, a route without a gateway leads to that of its address.
    routes: both.flatMap(({ routes, gateway }) =>
      routes.map(({ dst, gw }) => ({ dst, ...((gw || gateway) && { gw: gw || gateway }) })),
    ),
    ...(isObject(dns) && { dns }),
  };
}

function toLegacy(result: JsonObject): JsonObject {
  const { ips, routes, dns } = parse(resultSchema, result);
  const legacy: JsonObject = isObject(dns) ? { dns } : {};
  for (const [key, colon] of [
    ['ip4', false],
    ['ip6', true],
  ] as const) {
    const found = ips.find(({ address }) => address.includes(':') === colon);
    if (!found) continue;
    legacy[key] = {
      ip: found.address,
      ...(found.gateway && { gateway: found.gateway }),
      routes: routes
        .filter(({ dst }) => dst.includes(':') === colon)
        .map(({ dst, gw }) => ({ dst, ...(gw && { gw }) })),
    };
  }
  return legacy;
}

function withoutFamilies(result: JsonObject): JsonObject {
  const { ips } = parse(resultSchema, result);
  return { ...result, ips: ips.map(({ version: _, ...ip }) => ip) };
}

function withFamilies(result: JsonObject): JsonObject {
  const { ips, routes, interfaces } = parse(resultSchema, result);
  return {
    ...result,
    interfaces: interfaces.map(({ name, mac, sandbox }) => ({
      name,
      ...(mac && { mac }),
      ...(sandbox && { sandbox }),
    })),
    ips: ips.map((ip) => ({ ...ip, version: ip.address.includes(':') ? '6' : '4' })),
    routes: routes.map(({ dst, gw }) => ({ dst, ...(gw && { gw }) })),
  };
}
