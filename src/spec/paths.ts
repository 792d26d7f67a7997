/**
 * A path inside a container as an absolute one without empty, "." and ".." parts. ".." never
 * leads out of the root, as in a root directory itself (path_resolution(7)).
 */
export function normalizePath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}
