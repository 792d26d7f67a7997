import { abortError, CoracleError } from '../errors.ts';
import { answerFailure } from './answer.ts';
import { type Digest, digestOf, isDigest } from './digest.ts';
import type { Endpoint } from './endpoint.ts';
import { MAX_MANIFEST_BYTES, manifestTypes } from './manifest.ts';
import { readBody } from './read-body.ts';
import { allFailed } from './registry-error.ts';
import { retry } from './retry.ts';

export interface FetchedManifest {
  bytes: Buffer;
  digest: Digest;
}

export interface BlobStream {
  /** Where the chunks begin: what was asked for, or 0 where the registry sends from the start. */
  offset: number;
  /** Unchecked. A connection that breaks throws Unavailable. */
  chunks: AsyncIterable<Buffer>;
}

/** Finds a manifest that is here already. */
export type KnownManifests = (digest: Digest) => Promise<Buffer | undefined>;

const ACCEPT = { accept: manifestTypes.join(', ') };

/**
 * One repository of a registry, as the OCI distribution specification 1.1 has it; pull only. Its
 * hosts are asked in their order until one serves; for the length of a pull those that have just
 * failed are asked after the others.
 */
export class Repository {
  readonly #name: string;
  readonly #open: () => Promise<Endpoint[]>;
  readonly #patienceMs: number;
  #endpoints: Promise<Endpoint[]> | undefined;
  /** Whether the registry has let this caller in. */
  #admitted = false;

  /**
   * @param patienceMs how long a host may take to begin its answer about a manifest while there is
   *   another one to ask. Not about a blob: a mirror may have to get that itself first.
   */
  constructor(name: string, open: () => Promise<Endpoint[]>, patienceMs: number) {
    this.#name = name;
    this.#open = open;
    this.#patienceMs = patienceMs;
  }

  /**
   * A manifest or index by tag or digest; a digest is checked (DataLoss). For one that is `known`
   * the registry is only asked, once, whether it has it and shows it to this caller: registries
   * that limit pulls do not count that. Retries what may pass.
   */
  async manifest(
    tagOrDigest: string,
    signal: AbortSignal,
    known: KnownManifests = async () => undefined,
  ): Promise<FetchedManifest> {
    const digest = isDigest(tagOrDigest) ? tagOrDigest : undefined;
    const held = digest && (await lookUp(known, digest));
    if (held && this.#admitted) return held;
    return retry(signal, async () => {
      if (digest && !held) return this.#fetch(digest, 'pull', signal);
      const found = await this.#resolve(tagOrDigest, digest ? 'pull' : 'resolve', signal);
      if ('bytes' in found) return found;
      const here = held ?? (await lookUp(known, found.digest));
      if (here) return here;
      try {
        return await this.#fetch(found.digest, 'pull', signal);
      } catch (error) {
        // The tag has moved meanwhile and its manifest is gone, or the digest was a wrong one.
        if (!(error instanceof CoracleError) || error.kind !== 'NotFound') throw error;
        return this.#fetch(tagOrDigest, 'resolve', signal);
      }
    });
  }

  /**
   * One attempt at a blob's bytes, from `offset` on if the host can: one that cannot, or finds
   * nothing there, sends them from the start.
   */
  async blob(digest: Digest, offset: number, signal: AbortSignal): Promise<BlobStream> {
    const path = `blobs/${digest}`;
    return this.#anywhere('pull', `blob ${digest} of ${this.#name}`, signal, async (endpoint) => {
      let response =
        offset > 0
          ? await endpoint.get(path, { headers: range(offset), signal }, [200, 206, 416])
          : await endpoint.get(path, { signal });
      let start = 0;
      if (response.statusCode === 206 && startOf(response.headers['content-range']) === offset) {
        start = offset;
      } else if (response.statusCode !== 200) {
        await response.body.dump();
        response = await endpoint.get(path, { signal });
      }
      return { offset: start, chunks: endpoint.body(response, path, signal) };
    });
  }

  /** What a name stands for: by HEAD, or by GET where a host does not answer that usefully. */
  #resolve(
    name: string,
    need: 'pull' | 'resolve',
    signal: AbortSignal,
  ): Promise<FetchedManifest | { digest: Digest }> {
    const path = `manifests/${name}`;
    return this.#anywhere(need, this.#manifestName(name), signal, async (endpoint, last) => {
      const patienceMs = last ? undefined : this.#patienceMs;
      const request = { method: 'HEAD', headers: ACCEPT, patienceMs, signal } as const;
      const response = await endpoint.ask(path, request);
      await response.body.dump();
      const { statusCode, headers } = response;
      if (statusCode === 429 || statusCode === 503) {
        throw await answerFailure(endpoint.url(path), response);
      }
      const digest = String(headers['docker-content-digest']);
      if (statusCode === 200 && isDigest(name)) return { digest: name };
      if (statusCode === 200 && isDigest(digest)) return { digest };
      return this.#read(endpoint, name, signal, patienceMs);
    });
  }

  #fetch(name: string, need: 'pull' | 'resolve', signal: AbortSignal): Promise<FetchedManifest> {
    return this.#anywhere(need, this.#manifestName(name), signal, (endpoint, last) =>
      this.#read(endpoint, name, signal, last ? undefined : this.#patienceMs),
    );
  }

  async #read(
    endpoint: Endpoint,
    name: string,
    signal: AbortSignal,
    patienceMs: number | undefined,
  ): Promise<FetchedManifest> {
    const path = `manifests/${name}`;
    const what = this.#manifestName(name);
    const response = await endpoint.get(path, { headers: ACCEPT, patienceMs, signal });
    const bytes = await readBody(endpoint.body(response, path, signal), MAX_MANIFEST_BYTES, what);
    const digest = digestOf(bytes);
    if (isDigest(name) && digest !== name) {
      throw new CoracleError('DataLoss', `${what}: its digest is ${digest}`);
    }
    return { bytes, digest };
  }

  #manifestName(name: string): string {
    return `manifest ${name} of ${this.#name}`;
  }

  /** Does work at the first host that can; throws what they all said where none could. */
  async #anywhere<T>(
    need: 'pull' | 'resolve',
    what: string,
    signal: AbortSignal,
    work: (endpoint: Endpoint, last: boolean) => Promise<T>,
  ): Promise<T> {
    this.#endpoints ??= this.#open();
    const all = await this.#endpoints;
    const able = all.filter((endpoint) => endpoint.host[need]);
    const errors = new Map<Endpoint, CoracleError>();
    // A sort that keeps the order of equals.
    const inOrder = able.toSorted((a, b) => Number(a.failing) - Number(b.failing));
    for (const [index, endpoint] of inOrder.entries()) {
      try {
        const done = await work(endpoint, index === inOrder.length - 1);
        endpoint.served = true;
        endpoint.failing = false;
        this.#admitted = true;
        return done;
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        if (!(error instanceof CoracleError)) throw error;
        endpoint.failing = error.kind === 'Unavailable';
        errors.set(endpoint, error);
      }
    }
    const asked = able.filter((endpoint) => errors.has(endpoint));
    const said = asked.map((endpoint) => errors.get(endpoint) as CoracleError);
    // One that served this pull before will do so again; else the registry itself, asked last,
    // knows best.
    const back = asked.find((endpoint) => endpoint.served && endpoint.failing);
    const deciding = (back && errors.get(back)) ?? said.at(-1);
    if (deciding === undefined) {
      const file = all[0]?.host.hostsFile;
      throw new CoracleError(
        'FailedPrecondition',
        `${what}: no host has the capability "${need}" in ${file}`,
      );
    }
    throw allFailed(what, said, deciding);
  }
}

async function lookUp(known: KnownManifests, digest: Digest): Promise<FetchedManifest | undefined> {
  const bytes = await known(digest);
  return bytes && digestOf(bytes) === digest ? { bytes, digest } : undefined;
}

function range(offset: number): Record<string, string> {
  return { range: `bytes=${offset}-` };
}

/** Where the body of a 206 begins (RFC 9110, section 14.4). */
function startOf(contentRange: string | string[] | undefined): number | undefined {
  const match = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(String(contentRange));
  return match ? Number(match[1]) : undefined;
}
