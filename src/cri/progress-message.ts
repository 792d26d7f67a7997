/** How far a pull is, as messages of the admin service and back. */
import type { Digest } from '../image/digest.ts';
import type { LayerProgress, PullProgress } from '../image/progress.ts';
import { LayerState, type PullProgress as Message } from './gen/coracle.ts';

const STATES = {
  waiting: LayerState.LAYER_WAITING,
  fetching: LayerState.LAYER_FETCHING,
  fetched: LayerState.LAYER_FETCHED,
  unpacking: LayerState.LAYER_UNPACKING,
  done: LayerState.LAYER_DONE,
  exists: LayerState.LAYER_EXISTS,
} as const satisfies Record<LayerProgress['state'], LayerState>;

const NAMES = new Map(
  Object.entries(STATES).map(([name, state]) => [state, name as LayerProgress['state']]),
);

export function progressMessage(progress: PullProgress): Message {
  return {
    blobs: progress.blobs,
    blobsDone: progress.blobsDone,
    bytes: BigInt(progress.bytes),
    bytesDone: BigInt(progress.bytesDone),
    layers: progress.layers.map(({ digest, state, size, fetched }) => ({
      digest,
      state: STATES[state],
      size: BigInt(size),
      fetched: BigInt(fetched),
    })),
  };
}

/** A state that a newer server may have shows as 'waiting'. */
export function progressFromMessage(message: Message): PullProgress {
  return {
    blobs: message.blobs,
    blobsDone: message.blobsDone,
    bytes: Number(message.bytes),
    bytesDone: Number(message.bytesDone),
    layers: message.layers.map(({ digest, state, size, fetched }) => ({
      digest: digest as Digest,
      state: NAMES.get(state as (typeof STATES)[keyof typeof STATES]) ?? 'waiting',
      size: Number(size),
      fetched: Number(fetched),
    })),
  };
}
