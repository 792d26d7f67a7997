/**
 * Makes `value`, plain data that nobody else has yet, share what it has in common with `like`, which
 * is frozen: each member that is equal to the one in the same place there becomes that one.
 *
 * Records of containers are alike in nearly all that is long, as their mounts and devices: without
 * sharing each takes memory for all of it, and the collector's time.
 */
export function shareMembers<T>(value: T, like: unknown): T {
  if (isPlain(value) && isPlain(like)) share(value, like);
  return value;
}

type Plain = Record<string, unknown>;

/** Shares members; returns whether the two are equal as a whole. */
function share(value: Plain, like: Plain): boolean {
  if (Array.isArray(value) !== Array.isArray(like)) return false;
  const keys = Object.keys(value);
  let equal = keys.length === Object.keys(like).length;
  for (const key of keys) {
    const [mine, other] = [value[key], like[key]];
    if (mine === other && Object.hasOwn(like, key)) continue;
    // Assigned to, a key of that name would set what the object inherits from.
    if (isPlain(mine) && isPlain(other) && key !== '__proto__' && share(mine, other)) {
      value[key] = other;
    } else equal = false;
  }
  return equal;
}

/** Byte arrays are none: they cannot be frozen. */
function isPlain(value: unknown): value is Plain {
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}
