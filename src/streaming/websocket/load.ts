import { createRequire } from 'node:module';
import type * as ws from 'ws';

const require = createRequire(import.meta.url);

/**
 * ws, loaded with the first client that speaks WebSocket: most speak SPDY, or come never. By
 * `require`, which can be tried again where it failed, as for want of descriptors.
 */
export function webSockets(): typeof ws {
  return require('ws') as typeof ws;
}
