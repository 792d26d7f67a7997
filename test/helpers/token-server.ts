import { createHash, createSign, randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { CertificateFiles } from './certificates.ts';
import { reply, serve, type TestServer } from './http-server.ts';

export interface TokenServer extends TestServer {
  realm: string;
  service: string;
  issuer: string;
}

export interface TokenServerOptions {
  signer: CertificateFiles;
  /** "user:password" that is let in; without one everybody is. */
  user?: string;
  /** The refresh token that a POST is given a token for. */
  refreshToken?: string;
  /** Seconds. Default: 300. */
  lifetime?: number;
}

const SERVICE = 'test-service';
const ISSUER = 'test-issuer';

/** A token server of the distribution project's protocol, for pulls from docker-registry. */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const { signer, user, refreshToken, lifetime = 300 } = options;
  const server = await serve((request, response, base) => {
    const url = new URL(request.url ?? '/', base);
    const give = (scope: string) => {
      const token = sign(signer, scope, lifetime);
      const body = { token, expires_in: lifetime, issued_at: new Date().toISOString() };
      reply(response, 200, JSON.stringify(body), { 'content-type': 'application/json' });
    };
    if (request.method === 'POST') {
      let text = '';
      request.on('data', (piece) => {
        text += piece;
      });
      request.on('end', () => {
        const form = new URLSearchParams(text);
        if (refreshToken !== undefined && form.get('refresh_token') === refreshToken) {
          return give(form.get('scope') ?? '');
        }
        reply(response, 401, '{"errors":[{"code":"UNAUTHORIZED","message":"who is it"}]}');
      });
      return;
    }
    const basic = user && `Basic ${Buffer.from(user).toString('base64')}`;
    if (basic && request.headers.authorization !== basic) {
      return reply(response, 401, '{"errors":[{"code":"UNAUTHORIZED","message":"who is it"}]}');
    }
    give(url.searchParams.get('scope') ?? '');
  });
  return { ...server, realm: `http://${server.host}/token`, service: SERVICE, issuer: ISSUER };
}

function sign(signer: CertificateFiles, scope: string, lifetime: number): string {
  const certificate = new X509Certificate(readFileSync(signer.cert));
  const now = Math.floor(Date.now() / 1000);
  const [type, name, actions] = scope.split(':');
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = { typ: 'JWT', alg: 'RS256', x5c: [certificate.raw.toString('base64')] };
  const claims = {
    iss: ISSUER,
    aud: SERVICE,
    sub: createHash('sha256').update(scope).digest('hex').slice(0, 8),
    iat: now,
    nbf: now - 10,
    exp: now + lifetime,
    jti: randomUUID(),
    access: [{ type, name, actions: (actions ?? '').split(',') }],
  };
  const text = `${encode(header)}.${encode(claims)}`;
  const signature = createSign('RSA-SHA256').update(text).sign(readFileSync(signer.key));
  return `${text}.${signature.toString('base64url')}`;
}
