export type { CniAttachment, CniResultTable } from './attachments.ts';
export { CniFailure } from './failure.ts';
export type { CniLog } from './log.ts';
export { CniNetwork, type CniNetworkOptions } from './provider.ts';
