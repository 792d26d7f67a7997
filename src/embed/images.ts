import * as v from 'valibot';
import type { ImageService } from '../image/images.ts';
import { check } from './options/check.ts';
import { name, signal, text } from './options/parts.ts';

/** The images of a runtime's root directory. */
export type Images = Pick<ImageService, 'pull' | 'import' | 'list' | 'status' | 'remove'>;

const auth = v.strictObject({
  username: v.optional(v.string()),
  password: v.optional(v.string()),
  auth: v.optional(v.string()),
  identityToken: v.optional(v.string()),
  registryToken: v.optional(v.string()),
  serverAddress: v.optional(v.string()),
});
const SECRET = 'is not made of user names, passwords and tokens';
const pullOptions = v.strictObject({
  // Whatever is wrong with a secret, no message shows it.
  auth: v.optional(v.custom((given) => v.is(auth, given), SECRET)),
  signal,
  onProgress: v.optional(v.function()),
});
const importOptions = v.strictObject({ signal, tag: v.optional(text) });
const filter = v.strictObject({ image: v.optional(v.string()) });

/** The same for programs that are not written in TypeScript, or have cast its types away. */
export function checkedImages(images: Images): Images {
  return {
    pull: async (reference, options = {}) => {
      check(name, 'reference', reference);
      check(pullOptions, 'options', options);
      return images.pull(reference, options);
    },
    import: async (path, options = {}) => {
      check(importOptions, 'options', options);
      return images.import(check(name, 'path', path), options);
    },
    list: (given = {}) => {
      check(filter, 'filter', given);
      return images.list(given);
    },
    status: (reference) => images.status(check(name, 'name', reference)),
    remove: async (reference) => images.remove(check(name, 'name', reference)),
  };
}
