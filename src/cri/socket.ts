import { chmod, lstat, rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { CoracleError, invalid } from '../errors.ts';
import { makeDirectory } from '../runtime/make-directory.ts';

/** sun_path of unix(7), less its closing NUL. */
const MAX_PATH = 107;

/** Root and its group may use the runtime: whoever can talk to it is root on the host. */
const MODE = 0o660;

/** A listening socket's path in the file system. */
export interface SocketPath {
  /** Where clients find it. */
  readonly path: string;
  /** Where the server binds, before `publish`. */
  readonly bindPath: string;
}

/** The path of "unix:///run/x.sock", "unix:/run/x.sock" or "/run/x.sock". */
export function socketPathOf(address: string): string {
  const path = address.replace(/^unix:(\/\/)?/, '');
  if (!path.startsWith('/') || path.includes('\0')) {
    throw invalid('listen', address, 'must be unix:// followed by an absolute path');
  }
  return path;
}

/**
 * Makes the path ready to be bound: its directory exists, and what a dead server left is gone.
 *
 * A socket that something answers on is a FailedPrecondition, a file of another type an
 * InvalidArgument. Binding happens under another name, so that the socket is never seen with the
 * mode that the umask happens to give.
 */
export async function claimSocket(path: string): Promise<SocketPath> {
  const bindPath = `${path}.${process.pid}`;
  if (Buffer.byteLength(bindPath) > MAX_PATH) {
    throw invalid('listen', path, `is longer than a unix socket's name may be (${MAX_PATH} bytes)`);
  }
  await makeDirectory(dirname(path), 0o711).catch((error: NodeJS.ErrnoException) => {
    throw invalid('listen', path, `is where no socket can be: ${error.code}`);
  });
  const found = await lstat(path).catch(ignoreMissing);
  if (found && !found.isSocket()) throw invalid('listen', path, 'exists and is not a socket');
  if (found && (await answers(path))) {
    throw new CoracleError('FailedPrecondition', `another server is listening on ${path}`);
  }
  await rm(bindPath, { force: true });
  return { path, bindPath };
}

/**
 * Gives the bound socket its mode and its name, in place of a stale one. Returns a function that
 * takes the name away again, unless it has become another server's meanwhile.
 */
export async function publishSocket({ path, bindPath }: SocketPath): Promise<() => Promise<void>> {
  await chmod(bindPath, MODE);
  const own = await lstat(bindPath);
  await rename(bindPath, path);
  return async () => {
    const now = await lstat(path).catch(ignoreMissing);
    if (now?.ino === own.ino && now.dev === own.dev) await rm(path, { force: true });
  };
}

/** Whether a connection to the socket is accepted. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      // A full backlog is a live server's.
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
