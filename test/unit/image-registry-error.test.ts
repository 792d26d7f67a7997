import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerFailure, parseRetryAfter } from '../../src/image/answer.ts';
import { allFailed, connectionFailure, RegistryError } from '../../src/image/registry-error.ts';
import type { Response } from '../../src/image/transport.ts';

const context = {
  host: 'quay.io',
  dialTimeoutMs: 30_000,
  silenceMs: 1500,
  hostsFile: '/etc/c/certs.d/quay.io/hosts.toml',
};

function response(statusCode: number, body = '', headers = {}): Response {
  async function* bytes() {
    yield Buffer.from(body);
  }
  return { statusCode, headers, body: bytes() } as unknown as Response;
}

test('Retry-After is seconds or a date, at most a minute', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const cases: [header: string | undefined, ms: number | undefined][] = [
    ['5', 5000],
    [' 0 ', 0],
    ['86400', 60_000],
    ['Thu, 01 Jan 2026 00:00:09 GMT', 9000],
    ['Thu, 01 Jan 2026 12:00:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ];
  for (const [header, ms] of cases) assert.equal(parseRetryAfter(header, now), ms, header);
});

test('a status has its kind and reason', async () => {
  const cases: [status: number, kind: string, reason: string | undefined][] = [
    [404, 'NotFound', undefined],
    [401, 'FailedPrecondition', 'AuthorizationFailed'],
    [403, 'FailedPrecondition', 'AuthorizationFailed'],
    [400, 'FailedPrecondition', undefined],
    [408, 'Unavailable', 'RegistryUnavailable'],
    [429, 'Unavailable', 'RegistryUnavailable'],
    [500, 'Unavailable', 'RegistryUnavailable'],
    [503, 'Unavailable', 'RegistryUnavailable'],
  ];
  for (const [status, kind, reason] of cases) {
    const error = await answerFailure(new URL('https://h/v2/a'), response(status));
    assert.deepEqual([error.kind, error.reason, error.status], [kind, reason, status]);
  }
});

test('a message has what the registry says, on one line, and no query', async () => {
  const body = '{"errors":[{"code":"DENIED","message":"a\\u001b[31m\\nb"}]}';
  const url = new URL('https://h/v2/a/manifests/1?X-Amz-Signature=hunter2');
  const error = await answerFailure(url, response(403, body, { 'retry-after': '3' }));
  assert.equal(error.message, 'h/v2/a/manifests/1: HTTP 403 Forbidden: DENIED: a [31m b');
  assert.equal(error.retryAfterMs, 3000);
  const long = JSON.stringify({ errors: [{ code: 'X', message: 'y'.repeat(5000) }] });
  assert.ok((await answerFailure(url, response(500, long))).message.length < 400);
  assert.equal(
    (await answerFailure(url, response(500, '<html>'))).message.endsWith(
      'HTTP 500 Internal Server Error',
    ),
    true,
  );
});

test('a connection that fails says why', () => {
  const cases: [code: string, kind: string, trouble: string, message: RegExp][] = [
    ['ECONNREFUSED', 'Unavailable', 'connection', /^registry quay\.io: connection refused$/],
    ['ENOTFOUND', 'Unavailable', 'name', /name does not resolve/],
    ['EAI_AGAIN', 'Unavailable', 'name', /name does not resolve/],
    ['UND_ERR_CONNECT_TIMEOUT', 'Unavailable', 'connection', /no connection within 30 s/],
    ['UND_ERR_BODY_TIMEOUT', 'Unavailable', 'stall', /no byte for 1\.5 s/],
    ['UND_ERR_HEADERS_TIMEOUT', 'Unavailable', 'stall', /no byte for 1\.5 s/],
    ['ECONNRESET', 'Unavailable', 'connection', /the connection broke/],
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'FailedPrecondition',
      'tls',
      /not trusted: .*put its CA into \/etc\/c\/certs\.d\/quay\.io\/hosts\.toml/,
    ],
    ['CERT_HAS_EXPIRED', 'FailedPrecondition', 'tls', /not valid: words/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'FailedPrecondition', 'tls', /not valid: words/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'FailedPrecondition', 'tls', /does not speak TLS/],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'FailedPrecondition', 'tls', /\(client\)/],
  ];
  for (const [code, kind, trouble, message] of cases) {
    const error = connectionFailure(Object.assign(new Error('words'), { code }), context);
    assert.deepEqual([error.kind, error.trouble], [kind, trouble], code);
    assert.match(error.message, message);
  }
  const wrapped = new Error('other side closed', {
    cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }),
  });
  assert.match(connectionFailure(wrapped, context).message, /the connection broke/);
  const several = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' });
  assert.match(connectionFailure(several, context).message, /connection refused/);
});

test('several hosts that failed are all in the message, and one decides', () => {
  const made = (kind: 'NotFound' | 'Unavailable', retryAfterMs?: number) =>
    new RegistryError(kind, `${kind} said`, {
      trouble: 'answer',
      reason: kind === 'NotFound' ? undefined : 'RegistryUnavailable',
      retryAfterMs,
    });
  const [mirror, server] = [made('NotFound'), made('Unavailable', 2000)];
  const error = allFailed('blob x', [mirror, server], server);
  assert.equal(error.message, 'blob x: NotFound said; Unavailable said');
  assert.deepEqual([error.kind, error.reason], ['Unavailable', 'RegistryUnavailable']);
  assert.equal((error as RegistryError).retryAfterMs, 2000);
  assert.equal(allFailed('blob x', [server], server), server);
});
