import { STATUS_CODES } from 'node:http';
import type { ErrorKind } from '../errors.ts';
import { readBody } from './read-body.ts';
import { DENIED, RegistryError, UNAVAILABLE } from './registry-error.ts';
import type { Response } from './transport.ts';

/** No registry may hold a pull back for longer than this at once. */
const MAX_RETRY_AFTER_MS = 60_000;
const MAX_MESSAGE_CHARS = 300;

/** The error that an unsuccessful response of `url` stands for; consumes its body. */
export async function answerFailure(
  url: URL,
  response: Response,
  now: number = Date.now(),
): Promise<RegistryError> {
  const { statusCode } = response;
  const status = `HTTP ${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trimEnd();
  const message = `${url.host}${url.pathname}: ${status}${await registryMessage(response)}`;
  const make = (kind: ErrorKind, reason?: string) =>
    new RegistryError(kind, message, {
      trouble: 'answer',
      status: statusCode,
      reason,
      retryAfterMs: parseRetryAfter(response.headers['retry-after'], now),
    });
  if (statusCode === 404) return make('NotFound');
  if (statusCode === 401 || statusCode === 403) return make('FailedPrecondition', DENIED);
  if (statusCode === 408 || statusCode === 429 || statusCode >= 500) {
    return make('Unavailable', UNAVAILABLE);
  }
  return make('FailedPrecondition');
}

/**
 * The wait in ms that a Retry-After header asks for (RFC 9110, section 10.2.3: seconds or a date),
 * at most a minute; undefined where it asks for none.
 */
export function parseRetryAfter(
  header: string | string[] | undefined,
  now: number,
): number | undefined {
  const value = (Array.isArray(header) ? header[0] : header)?.trim();
  if (!value) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** ": CODE: text" of the distribution spec's error body; empty where there is none. */
async function registryMessage(response: Response): Promise<string> {
  let text: string;
  try {
    text = (await readBody(response.body, 64 << 10, '')).toString('utf8');
    const [first] =
      (JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] }).errors ?? [];
    if (!first) return '';
    text = [first.code, first.message].filter((part) => typeof part === 'string').join(': ');
  } catch {
    return '';
  }
  // It goes into logs and into a terminal.
  return `: ${text.replace(/\p{Cc}+/gu, ' ').slice(0, MAX_MESSAGE_CHARS)}`;
}
