import * as v from 'valibot';
import { CoracleError, quote } from '../../errors.ts';
import { isSize } from '../../runtime/terminal-size.ts';

/**
 * What a program passes, as its schema has it: without the fields that are undefined, so that a
 * default stands where a program says `name: undefined`. Throws InvalidArgument naming the field and
 * the value: types are checked by TypeScript alone, and not every program is written in it.
 */
export function check<S extends v.GenericSchema>(
  schema: S,
  what: string,
  given: unknown,
): v.InferOutput<S> {
  const result = v.safeParse(schema, given, { abortEarly: true });
  if (result.success) return defined(result.output) as v.InferOutput<S>;
  const issue = result.issues[0];
  const path = issue.path?.map(({ key }) => key) ?? [];
  const field = path.reduce<string>(below, what);
  if (issue.type === 'strict_object' && path.length > 0 && issue.expected === 'never') {
    throw new CoracleError('InvalidArgument', `${field}: there is no such field`);
  }
  const shown = issue.type === 'custom' ? '' : `${quote(issue.input)} `;
  throw new CoracleError('InvalidArgument', `${field}: ${shown}${expectation(issue)}`);
}

/** Throws InvalidArgument for what no terminal can have. */
export function checkSize(rows: unknown, columns: unknown): void {
  for (const [field, value] of Object.entries({ rows, columns }) as [string, unknown][]) {
    if (typeof value !== 'number' || !isSize(value, value)) {
      throw new CoracleError('InvalidArgument', `${field}: ${quote(value)} is not 1 to 65535`);
    }
  }
}

function below(above: string, key: unknown): string {
  if (typeof key === 'number') return `${above}[${key}]`;
  return /^\w+$/.test(String(key)) ? `${above}.${String(key)}` : `${above}[${quote(String(key))}]`;
}

/** What a schema has against a value, to be said after it. */
export function expectation(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith('Invalid')) return issue.message;
  return issue.expected === null ? 'is not valid' : `is not ${issue.expected}`;
}

/** A copy of plain data without what is undefined; anything else as it is. */
function defined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(defined);
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries.map(([key, each]) => [key, defined(each)]));
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
