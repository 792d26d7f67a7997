import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CoracleError, messageOf } from '../errors.ts';

/** Absolute paths of PEM files. */
export interface TlsFiles {
  ca: readonly string[];
  /** A certificate and its key; without a key file, both are in the one file. */
  client: readonly { cert: string; key: string | undefined }[];
  skipVerify: boolean;
}

/** What such files hold, PEM. */
export interface TlsMaterial {
  /** Trusted beside the host's own. */
  ca: readonly string[];
  /** Shown where the server asks; of several with one kind of key it is the last. */
  client: readonly { cert: string; key: string }[];
  skipVerify: boolean;
}

/** `where` names the key that a path was read from: "/etc/…/hosts.toml: ca". */
export async function loadTls(files: TlsFiles, where: string): Promise<TlsMaterial> {
  const [ca, client] = await Promise.all([
    Promise.all(files.ca.map((path) => readCertificates(path, `${where}ca`))),
    Promise.all(files.client.map((pair) => readPair(pair, `${where}client`))),
  ]);
  return { ca, client, skipVerify: files.skipVerify };
}

async function readCertificates(path: string, where: string): Promise<string> {
  const text = await readPem(path, where);
  certificateOf(text, path, where);
  return text;
}

async function readPair(
  files: { cert: string; key: string | undefined },
  where: string,
): Promise<{ cert: string; key: string }> {
  const keyPath = files.key ?? files.cert;
  const [cert, key] = await Promise.all([readPem(files.cert, where), readPem(keyPath, where)]);
  const certificate = certificateOf(cert, files.cert, where);
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw bad(where, keyPath, `has no private key that can be read: ${messageOf(error)}`);
  }
  if (!matches) throw bad(where, keyPath, `is not the key of ${files.cert}`);
  return { cert, key };
}

/** The first certificate of a file; further ones are its chain, or other CAs. */
function certificateOf(text: string, path: string, where: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw bad(where, path, `has no certificate that can be read: ${messageOf(error)}`);
  }
}

async function readPem(path: string, where: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw bad(where, path, `cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function bad(where: string, path: string, why: string): CoracleError {
  return new CoracleError('FailedPrecondition', `${where}: ${JSON.stringify(path)} ${why}`);
}
