import { createRequire } from 'node:module';
import type * as undici from 'undici';

const require = createRequire(import.meta.url);

/**
 * undici, loaded when a registry is first asked: it takes as long as half of the rest of a server,
 * and 9 MB, which one that pulls nothing does without.
 *
 * By `require`: unlike a failed `import()` one that failed, as for want of descriptors, can be tried
 * again, and Node 20 may fail to link what several `import()`s at once load.
 */
export function httpClient(): typeof undici {
  return require('undici') as typeof undici;
}
