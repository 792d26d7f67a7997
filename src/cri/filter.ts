/** Whether an object carries every label that a filter names, with its value. */
export function hasLabels(
  labels: Readonly<Record<string, string>> | undefined,
  selector: Readonly<Record<string, string>> | undefined,
): boolean {
  // A list asks this of every container, and mostly about no label.
  for (const name in selector) {
    if (labels?.[name] !== selector[name]) return false;
  }
  return true;
}

/** Whether an id is, or starts with, what a filter names; an empty filter lets everything pass. */
export function hasPrefix(id: string, prefix: string | undefined): boolean {
  return prefix === undefined || prefix === '' || id.startsWith(prefix);
}
