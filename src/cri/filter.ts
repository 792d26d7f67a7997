/** Whether an object carries every label that a filter names, with its value. */
export function hasLabels(
  labels: Readonly<Record<string, string>> | undefined,
  selector: Readonly<Record<string, string>> | undefined,
): boolean {
  return Object.entries(selector ?? {}).every(([name, value]) => labels?.[name] === value);
}

/** Whether an id is, or starts with, what a filter names; an empty filter lets everything pass. */
export function hasPrefix(id: string, prefix: string | undefined): boolean {
  return id.startsWith(prefix ?? '');
}
