/** A platform as image indexes name it. */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

const ARCHITECTURES: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'amd64',
  ia32: '386',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loong64',
};

export function hostPlatform(architecture: NodeJS.Architecture = process.arch): Platform {
  const name = ARCHITECTURES[architecture] ?? architecture;
  if (name === 'arm') return { os: 'linux', architecture: 'arm', variant: 'v7' };
  if (name === 'arm64') return { os: 'linux', architecture: 'arm64', variant: 'v8' };
  return { os: 'linux', architecture: name };
}

/**
 * How well `offered` runs on `host`: higher is better, undefined does not run. A 32-bit ARM host
 * also runs older variants; amd64 levels above v1 are taken only where nothing else is offered,
 * since what the host's processor has is not looked at.
 */
function rank(host: Platform, offered: Platform): number | undefined {
  if (offered.os !== host.os || offered.architecture !== host.architecture) return undefined;
  if (host.architecture === 'arm') {
    const version = levelOf(offered.variant, 7);
    return version <= levelOf(host.variant, 7) ? version : undefined;
  }
  if (host.architecture === 'amd64') return -levelOf(offered.variant, 1);
  return (offered.variant ?? host.variant) === host.variant ? 1 : 0;
}

function levelOf(variant: string | undefined, normal: number): number {
  const level = /^v([0-9]+)/.exec(variant ?? '');
  return level ? Number(level[1]) : normal;
}

/** The best of `offers` for the host; the first one listed wins a tie. */
export function choosePlatform<T extends { platform?: Platform | undefined }>(
  offers: readonly T[],
  host: Platform,
): T | undefined {
  let best: T | undefined;
  let bestRank = Number.NEGATIVE_INFINITY;
  for (const offer of offers) {
    // An entry without a platform says nothing against running here.
    const value = offer.platform ? rank(host, offer.platform) : -1000;
    if (value !== undefined && value > bestRank) {
      best = offer;
      bestRank = value;
    }
  }
  return best;
}

export function formatPlatform(platform: Platform): string {
  const parts = [platform.os, platform.architecture];
  if (platform.variant) parts.push(platform.variant);
  return parts.join('/');
}
