import type { RegistryAuth } from '../image/auth.ts';
import type { PullProgress } from '../image/progress.ts';

/** What the image commands show of an image. */
export interface ListedImage {
  id: string;
  repoTags: readonly string[];
  repoDigests: readonly string[];
  /** Bytes, compressed. */
  size: number;
  /** Garbage collectors leave it alone. */
  pinned: boolean;
}

export interface InspectedImage extends ListedImage {
  /** The user that the image runs as: a number, or a name, which may be empty. */
  user: number | string;
  /** ISO 8601. */
  pulled: string;
  /** Of its topmost layer. */
  chainID: string;
  /** Its configuration blob. */
  imageSpec: unknown;
}

export interface PullRequest {
  auth?: RegistryAuth | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** Images of a root directory, wherever that is open. */
export interface ImageBackend {
  /** The image's id. */
  pull(name: string, request: PullRequest): Promise<string>;
  /** All, or those that the filter means: an id, a name, or a repository. */
  list(filter?: string): Promise<ListedImage[]>;
  /** Undefined where there is no such image. */
  inspect(name: string): Promise<InspectedImage | undefined>;
  /** `path` is absolute. Returns a name, or the id, of each image. */
  import(path: string, tag?: string): Promise<string[]>;
  /** Undefined where there is no such image. */
  find(name: string): Promise<ListedImage | undefined>;
  /** With all its names. */
  remove(id: string): Promise<void>;
}

/** What an image is called by, tags before digests before its id. */
export function namesOf({ repoTags, repoDigests, id }: ListedImage): readonly string[] {
  if (repoTags.length > 0) return repoTags;
  return repoDigests.length > 0 ? repoDigests : [id];
}
