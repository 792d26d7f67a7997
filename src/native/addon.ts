/** Loads the addon. No logic of its own: what crosses is described in types.ts. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { getSystemErrorMap } from 'node:util';
import type { Addon, NativeError } from './types.ts';
import { withFailpoints } from './with-failpoints.ts';

// The same way up from src/native and from dist/native.
const release = new URL('../../build/Release/', import.meta.url);

/** The native addon, one instance a JavaScript thread. */
export const addon: Addon = withFailpoints(
  createRequire(import.meta.url)(fileURLToPath(new URL('coracle.node', release))),
);

/** The coracle-monitor executable that was built with the addon, for MonitorSpawn. */
export function monitorExecutable(): string {
  return fileURLToPath(new URL('coracle-monitor', release));
}

/** Whether `error` comes from the addon and so says step, errno and path. */
export function isNativeError(error: unknown): error is NativeError {
  return (
    error instanceof Error &&
    typeof (error as Partial<NativeError>).step === 'string' &&
    typeof (error as Partial<NativeError>).errno === 'number' &&
    typeof (error as Partial<NativeError>).path === 'string'
  );
}

/** "exec /no/such: no such file or directory": the step, its object and why, for a user. */
export function describeNative(error: NativeError): string {
  const what = error.path === '' ? error.step : `${error.step} ${error.path}`;
  return error.errno === 0 ? what : `${what}: ${errnoText(error.errno)}`;
}

function errnoText(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `errno ${errno}`;
}
