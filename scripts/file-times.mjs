/**
 * A reporter for node:test: how long each test file took, loading and hooks included, as lines of
 * `<ms> <path>`. When a file's process has ended, node:test completes a test named like the file.
 */
import { relative, resolve } from 'node:path';
import { root } from './run-step.mjs';

export default async function* fileTimes(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:complete' || data.nesting !== 0 || data.file === undefined) continue;
    if (resolve(data.name) !== data.file) continue;
    yield `${Math.round(data.details.duration_ms)} ${relative(root, data.file)}\n`;
  }
}
