import { resolve } from 'node:path';
import { invalid } from '../errors.ts';
import type { MountConfig } from '../spec/config.ts';

/** "SRC:DST[:ro]" as a bind mount; SRC may be relative to the working directory. */
export function parseVolume(text: string): MountConfig {
  const [source, target, mode, ...rest] = text.split(':');
  if (!source || !target?.startsWith('/') || rest.length > 0) {
    throw invalid('--volume', text, 'is not of the form SRC:/DST[:ro]');
  }
  if (mode !== undefined && mode !== 'ro' && mode !== 'rw') {
    throw invalid('--volume', text, 'has a mode other than ro and rw');
  }
  return { hostPath: resolve(source), containerPath: target, readonly: mode === 'ro' };
}
