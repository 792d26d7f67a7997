import { readFileSync } from 'node:fs';

const manifest: unknown = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

/** Coracle's own version: "0.1.0". */
export const VERSION = String((manifest as { version?: unknown }).version);
