import { VERSION } from '../observe/version.ts';
import type { Unary } from './call.ts';
import type { VersionRequest, VersionResponse } from './gen/cri.ts';

/** The version of the exchange itself; kubelet compares it with its own constant. */
const EXCHANGE_VERSION = '0.1.0';

export const version: Unary<VersionRequest, VersionResponse> = async () => ({
  version: EXCHANGE_VERSION,
  runtimeName: 'coracle',
  runtimeVersion: VERSION,
  runtimeApiVersion: 'v1',
});
