import { CoracleError } from '../errors.ts';
import type { Unary } from './call.ts';

/**
 * Checkpoints need CRIU to take a process apart and to put it together again, with the namespaces,
 * pipes and terminals that a pod's monitor holds. Coracle does not drive it, and says so rather
 * than leaving out part of what a checkpoint promises.
 */
function unimplemented(method: string, what: string): Unary<unknown, never> {
  const reason = `${method}: ${what} is not supported: it takes CRIU, which Coracle does not drive`;
  return async () => {
    throw new CoracleError('Unimplemented', reason);
  };
}

export const checkpointContainer = unimplemented(
  'CheckpointContainer',
  'writing a checkpoint of a container',
);
export const checkpointPod = unimplemented('CheckpointPod', 'writing a checkpoint of a pod');
export const restorePod = unimplemented('RestorePod', 'making a pod from a checkpoint');
