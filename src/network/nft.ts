import { access, constants } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import type { Addon } from '../native/types.ts';

const NFT_PATHS = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/usr/local/sbin/nft'];
const NFT_TIMEOUT_MS = 10_000;
/** Enough for the chains of a host with a few thousand of them. */
const MAX_OUTPUT = 4 * 1024 * 1024;

export const NFT_MISSING = 'nft (Debian package nftables) is not installed';

export type Spawner = Pick<Addon, 'spawn'>;

export interface NftResult {
  /** '' or the reason for the failure, in one line. */
  readonly failure: string;
  readonly stdout: string;
}

/**
 * Runs an nft(8) script, which is one transaction: all of it happens or nothing.
 *
 * @returns '' or the reason for the failure.
 */
export async function runNft(addon: Spawner, script: string): Promise<string> {
  return (await nft(addon, ['-f', '-'], script)).failure;
}

/** Runs nft(8) with these arguments; never rejects. */
export async function nft(addon: Spawner, args: readonly string[], stdin = ''): Promise<NftResult> {
  const file = await findNft();
  if (file === undefined) return { failure: NFT_MISSING, stdout: '' };
  try {
    const result = await addon.spawn({
      file,
      argv: ['nft', ...args],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C'],
      stdin,
      timeoutMs: NFT_TIMEOUT_MS,
      maxOutput: MAX_OUTPUT,
    });
    const { exitCode, timedOut, stderr, stdout } = result;
    if (timedOut) return { failure: `nft did not end within ${NFT_TIMEOUT_MS / 1000} s`, stdout };
    if (exitCode === 0) return { failure: '', stdout };
    return { failure: `nft: ${stderr.trim().split('\n')[0] || `exit code ${exitCode}`}`, stdout };
  } catch (error) {
    return { failure: `nft: ${messageOf(error)}`, stdout: '' };
  }
}

/** Its path; undefined where it is not installed. */
export async function findNft(): Promise<string | undefined> {
  for (const path of NFT_PATHS) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
