import { invalid } from '../errors.ts';

/**
 * The cgroup path of a systemd slice: each dash is a level, so "a-b.slice" is
 * "/a.slice/a-b.slice" (systemd.slice(5)). "-.slice" is the root.
 */
export function slicePath(field: string, slice: string): string {
  const name = slice.split('/').filter(Boolean).at(-1) ?? '';
  const stem = /^(.+)\.slice$/.exec(name)?.[1];
  if (stem === undefined) throw invalid(field, slice, 'must be a slice, "name.slice"');
  if (stem === '-') return '/';
  const parts = stem.split('-');
  if (parts.includes('')) throw invalid(field, slice, 'has an empty level between dashes');
  return parts.map((_, level) => `/${parts.slice(0, level + 1).join('-')}.slice`).join('');
}
