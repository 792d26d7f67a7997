/** Versions of the CNI specification that are spoken, the lowest first. */
export const CNI_VERSIONS = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
] as const;

export type CniVersion = (typeof CNI_VERSIONS)[number];

export const NEWEST: CniVersion = '1.1.0';

/** Of a configuration and of a result that say nothing (CNI spec 0.1.0 had no version key). */
export const UNSAID: CniVersion = '0.1.0';

export function isKnownVersion(text: string): text is CniVersion {
  return (CNI_VERSIONS as readonly string[]).includes(text);
}

export function atLeast(version: CniVersion, other: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(other);
}
