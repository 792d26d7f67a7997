import { readFile } from 'node:fs/promises';
import { namesOnlyLoopback } from './pod-files.ts';

/** The servers behind systemd-resolved's stub (systemd-resolved.service(8)). */
const BEHIND_THE_STUB = '/run/systemd/resolve/resolv.conf';

/**
 * The host's resolv.conf as a base for pods with a network of their own: where it names only
 * local stubs, which a pod cannot reach, the servers behind systemd-resolved instead. Empty where
 * the host has none.
 */
export async function hostResolvConf(
  file = '/etc/resolv.conf',
  behindTheStub = BEHIND_THE_STUB,
): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  if (!namesOnlyLoopback(text)) return text;
  return readFile(behindTheStub, 'utf8').catch(() => text);
}
