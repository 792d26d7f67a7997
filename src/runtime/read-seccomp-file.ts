import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CoracleError, invalid } from '../errors.ts';
import type { ContainerConfig } from '../spec/config.ts';

/** Of a profile; the largest in use have some tens of KiB. */
const MAX_BYTES = 4 << 20;
const FIELD = 'security.seccomp.path';

/**
 * The text of a Localhost profile, where one is asked for. Throws InvalidArgument for what cannot be
 * read, is no file or is too long: the path is the caller's, and may lead to a pipe or a device,
 * which to read would take forever.
 */
export async function readSeccompFile(
  config: ContainerConfig,
): Promise<{ path: string; text: string } | undefined> {
  const profile = config.security?.seccomp;
  if (profile?.type !== 'localhost' || config.security?.privileged) return undefined;
  const { path } = profile;
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    if (!(await file.stat()).isFile()) throw invalid(FIELD, path, 'is no file');
    return { path, text: await readText(file, path) };
  } catch (error) {
    if (error instanceof CoracleError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw invalid(FIELD, path, `cannot be read: ${code}`);
  } finally {
    await file?.close();
  }
}

/** Files of procfs have no size of which one could tell beforehand. */
async function readText(file: FileHandle, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of file.createReadStream({ autoClose: false, end: MAX_BYTES })) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  if (size > MAX_BYTES) throw invalid(FIELD, path, `has more than ${MAX_BYTES} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}
