/**
 * JSON that also carries bigints: `"\0n123"`. A string that itself starts with NUL is written with
 * `"\0s"` before it, so that no text of a user can turn into a number.
 */

/** Throws TypeError on what JSON has no form for at the top: undefined, functions, symbols. */
export function toJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  // Bigints make the plain call throw; NULs are rare. A cycle throws again below.
  if (text === undefined || text.includes('\\u0000')) text = JSON.stringify(value, mark);
  if (text === undefined) throw new TypeError('the value has no JSON form');
  return text;
}

export function fromJson(text: string): unknown {
  return text.includes('\\u0000') ? JSON.parse(text, unmark) : JSON.parse(text);
}

function mark(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `\0n${value}`;
  if (typeof value === 'string' && value.startsWith('\0')) return `\0s${value}`;
  return value;
}

function unmark(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('\0')) return value;
  return value[1] === 'n' ? BigInt(value.slice(2)) : value.slice(2);
}
