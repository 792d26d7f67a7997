/** Lines of Prometheus' text format (exposition format 0.0.4). */

export type Labels = Readonly<Record<string, string>>;

export function line([name, value]: readonly [string, number]): string {
  return `${name} ${value}`;
}

/** With braces; empty for none. */
export function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    return `${name}="${escaped}"`;
  });
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
