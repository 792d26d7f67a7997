import { CoracleError, quote } from '../errors.ts';
import { type Digest, isDigest } from './digest.ts';

/** A name of an image in a registry, with every default spelled out. */
export interface Reference {
  /** Host and port as the name gives them: "docker.io", "localhost:5000", "[::1]:5000". */
  readonly registry: string;
  /** "library/busybox" */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

const DEFAULT_REGISTRY = 'docker.io';
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:.]+\\])(?::[0-9]{1,5})?$`);
/** Registry and repository together. */
const MAX_NAME = 255;

/**
 * Parses a reference as Docker writes it: "busybox", "quay.io/a/b:1.2@sha256:…". The first
 * component is a registry if it has a dot or a colon, an upper-case letter, or is "localhost".
 * Without tag and digest the tag is "latest". Throws InvalidArgument.
 */
export function parseReference(text: string): Reference {
  const fail = (why: string): never => {
    throw new CoracleError('InvalidArgument', `image reference ${quote(text)}: ${why}`);
  };
  if (text === '') fail('is empty');
  if (/^[0-9a-f]{64}$/.test(text)) fail('is an image id, not a name');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) fail('has a digest that is not "sha256:<64 hex>"');
  let name = at < 0 ? text : text.slice(0, at);

  let tag: string | undefined;
  const colon = name.lastIndexOf(':');
  if (colon > name.lastIndexOf('/')) {
    // "[::1]" alone has its colons inside the brackets.
    if (!name.endsWith(']')) {
      tag = name.slice(colon + 1);
      name = name.slice(0, colon);
      if (!TAG.test(tag)) fail('has a tag that is no tag');
    }
  }

  let registry = DEFAULT_REGISTRY;
  let repository = name;
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  if (first === 'localhost' || /[.:[A-Z]/.test(first)) {
    registry = first;
    repository = name.slice(slash + 1);
    if (!HOST.test(registry)) fail(`${quote(registry)} is no registry host`);
    const port = /:([0-9]+)$/.exec(registry.replace(/^\[.*\]/, ''));
    if (port && Number(port[1]) > 65535) fail('has a port above 65535');
    // "10.1.1.256" looks like a host, and is none to those who connect.
    if (!URL.canParse(`https://${registry}`)) fail(`${quote(registry)} is no address`);
  }
  if (registry === 'index.docker.io' || registry === 'registry-1.docker.io') {
    registry = DEFAULT_REGISTRY;
  }
  if (repository === '') fail('names no repository');
  for (const part of repository.split('/')) {
    if (!COMPONENT.test(part)) {
      fail(
        /[A-Z]/.test(part)
          ? 'the repository must be lower case'
          : `${quote(part)} is no repository component`,
      );
    }
  }
  if (registry === DEFAULT_REGISTRY && !repository.includes('/')) {
    repository = `library/${repository}`;
  }
  if (registry.length + 1 + repository.length > MAX_NAME) fail('has more than 255 characters');
  if (tag === undefined && digest === undefined) tag = 'latest';
  return { registry, repository, tag, digest: digest as Digest | undefined };
}

/** "docker.io/library/busybox" */
export function nameOf(reference: Reference): string {
  return `${reference.registry}/${reference.repository}`;
}

/**
 * The one spelling under which an image is recorded. A reference with tag and digest means the
 * digest.
 */
export function formatReference(reference: Reference): string {
  const name = nameOf(reference);
  return reference.digest !== undefined
    ? `${name}@${reference.digest}`
    : `${name}:${reference.tag ?? 'latest'}`;
}
