/** The protocol as data, read from proto/: what a generator needs to cover fields it has never seen. */
import { readFileSync } from 'node:fs';
import { camel } from '../cri-document.ts';

export interface Field {
  /** As the protocol has it, by which a refusal should name it. */
  name: string;
  /** As requests are written here. */
  key: string;
  number: number;
  /** A scalar type, an enum or a message. */
  type: string;
  repeated: boolean;
  map: boolean;
}

export interface Rpc {
  name: string;
  path: string;
  request: string;
  stream: boolean;
}

const text = ['cri', 'coracle']
  .map((name) => readFileSync(new URL(`../../../proto/${name}.proto`, import.meta.url), 'utf8'))
  .join('\n')
  .replace(/\/\/.*$/gm, '')
  .replace(/\bruntime\.v1\./g, '');

const FIELD = /^\s*(repeated )?(?:(map)<string, string>|(\w+)) (\w+) = (\d+)/gm;

/** Message → its fields. */
export const messages: ReadonlyMap<string, Field[]> = new Map(
  [...text.matchAll(/^message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}/gm)].map(
    ([, message = '', body = '']) => {
      const fields = body.replace(/enum \w+ \{[^}]*\}/g, '').matchAll(FIELD);
      return [
        message,
        [...fields].map(([, repeated, map, type = '', name = '', number]) => ({
          name,
          key: camel(name),
          number: Number(number),
          type,
          repeated: repeated !== undefined,
          map: map !== undefined,
        })),
      ];
    },
  ),
);

/** Enum → its numbers. Names of nested ones are unique in the protocol. */
export const enums: ReadonlyMap<string, number[]> = new Map(
  [...text.matchAll(/\benum (\w+) \{([^}]*)\}/g)].map(([, name = '', body = '']) => [
    name,
    [...body.matchAll(/\w+ = (\d+);/g)].map(([, number]) => Number(number)),
  ]),
);

export const rpcs: readonly Rpc[] = [...text.matchAll(/^service (\w+) \{([^}]*)\}/gm)].flatMap(
  ([, service = '', body = '']) =>
    [...body.matchAll(/rpc (\w+)\((\w+)\)\s+returns \((stream )?\w+\)/g)].map(
      ([, name = '', request = '', stream]) => ({
        name,
        path: `/${service === 'AdminService' ? 'coracle' : 'runtime'}.v1.${service}/${name}`,
        request,
        stream: stream !== undefined,
      }),
    ),
);

/** Where a field is: the fields from the request down to it. */
export type Place = readonly [Field, ...Field[]];

/** Every field that can be reached from a message, messages themselves included. */
export function placesIn(message: string, above: readonly Field[] = []): Place[] {
  return (messages.get(message) ?? []).flatMap((field) => {
    const place = [...above, field] as unknown as Place;
    const recursive = above.some(({ type }) => type === field.type && messages.has(type));
    return [place, ...(recursive ? [] : placesIn(field.type, place))];
  });
}
