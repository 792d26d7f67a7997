/** JSON for the verbose answers: 64-bit numbers become strings, nothing throws. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'bigint' ? String(each) : each,
  );
}
