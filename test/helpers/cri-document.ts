/** proto/cri.proto and the tables of docs/cri.md, as data. */
import { readFileSync } from 'node:fs';

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const proto = text('proto/cri.proto').replace(/\/\/.*$/gm, '');
const document = text('docs/cri.md');

export interface Rpc {
  name: string;
  request: string;
  response: string;
}

export const rpcs: Rpc[] = [
  ...proto.matchAll(/rpc (\w+)\((\w+)\)\s+returns \((?:stream )?(\w+)\)/g),
].map(([, name = '', request = '', response = '']) => ({ name, request, response }));

/** Message → its fields, each with its type. */
export const messages = new Map(
  [...proto.matchAll(/^message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}/gm)].map(
    ([, name = '', body = '']) => {
      const fields = body
        .replace(/enum \w+ \{[^}]*\}/g, '')
        .matchAll(/^\s*(?:repeated )?(map<string, string>|\w+) (\w+) = \d+/gm);
      return [name, new Map([...fields].map(([, type = '', field = '']) => [field, type]))];
    },
  ),
);

/** These messages and all that they are made of. */
export function reachable(names: string[], seen = new Set<string>()): Set<string> {
  for (const name of names) {
    const fields = messages.get(name);
    if (seen.has(name) || !fields) continue;
    seen.add(name);
    reachable([...fields.values()], seen);
  }
  return seen;
}

/** A field's name as the generated code has it. */
export function camel(field: string): string {
  return field.replace(/_([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The RPCs of the document's table. */
export function toldRpcs(): string[] {
  const section = document.slice(document.indexOf('## RPCs'), document.indexOf('## Limits'));
  return [...section.matchAll(/^\| `(\w+)` \| \S/gm)].map(([, name = '']) => name);
}

/** A row of the document's tables of fields. */
export interface Row {
  line: string;
  message: string;
  fields: string[];
  verdict: string;
  note: string;
  part: 'requests' | 'responses';
}

export const rows: Row[] = [
  ...rowsOf('requests', '### In requests', '### In responses alone'),
  ...rowsOf('responses', '### In responses alone'),
];

function rowsOf(part: Row['part'], from: string, to?: string): Row[] {
  const begin = document.indexOf(from);
  const section = document.slice(begin, to ? document.indexOf(to) : undefined);
  return [...section.matchAll(/^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) ?\|$/gm)].map(
    ([line, message = '', cell = '', verdict = '', note = '']) => ({
      line,
      message,
      fields:
        cell === 'all'
          ? [...(messages.get(message)?.keys() ?? [])]
          : [...cell.matchAll(/`(\w+)`/g)].map(([, field = '']) => field),
      verdict,
      note,
      part,
    }),
  );
}
