import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CertificateFiles {
  cert: string;
  key: string;
}

export interface TestCa extends CertificateFiles {
  /** A certificate for 127.0.0.1, localhost and registry.test, or of a client. */
  issue(name: string): CertificateFiles;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A CA of a day's life, in files below `directory`. */
export function makeCa(directory: string): TestCa {
  mkdirSync(directory, { recursive: true });
  const at = (name: string) => join(directory, name);
  const ca = { cert: at('ca.pem'), key: at('ca.key') };
  openssl(
    ...['req', '-x509', ...NEW_KEY, '-days', '1', '-subj', '/CN=Test CA'],
    ...['-keyout', ca.key, '-out', ca.cert],
  );
  return {
    ...ca,
    issue: (name) => {
      const made = { cert: at(`${name}.pem`), key: at(`${name}.key`) };
      const request = at(`${name}.csr`);
      const extensions = at(`${name}.ext`);
      writeFileSync(extensions, 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test\n');
      openssl('req', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', made.key, '-out', request);
      openssl(
        ...['x509', '-req', '-in', request, '-CA', ca.cert, '-CAkey', ca.key],
        ...['-CAcreateserial', '-days', '1', '-extfile', extensions, '-out', made.cert],
      );
      return made;
    },
  };
}

/** A self-signed certificate with an RSA key, as token servers sign with. */
export function makeSigner(directory: string): CertificateFiles {
  mkdirSync(directory, { recursive: true });
  const made = { cert: join(directory, 'signer.pem'), key: join(directory, 'signer.key') };
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=signer'],
    ...['-keyout', made.key, '-out', made.cert],
  );
  return made;
}
