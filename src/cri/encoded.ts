/** Responses that are bytes before gRPC sees them: lists, whose entries change seldom. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { eachMethod } from './each-method.ts';

/** In the place of a response: its bytes. */
export class Encoded {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/** The service with encoders that take `Encoded` as well as responses. */
export function encodedService(service: ServiceDefinition): ServiceDefinition {
  return eachMethod(service, encoding);
}

function encoding<Request, Response>(
  method: MethodDefinition<Request, Response>,
): MethodDefinition<Request, Response | Encoded> {
  const responseSerialize = (response: Response | Encoded): Buffer =>
    response instanceof Encoded ? response.bytes : method.responseSerialize(response);
  return { ...method, responseSerialize } as MethodDefinition<Request, Response | Encoded>;
}

/**
 * Encodes lists of items, each item once for each state that it is in: a thousand containers take
 * 10 ms, in which no other call is served.
 *
 * `encode` makes a list's message of one item, by its record and state alone. One after another the
 * bytes of such messages are the message of them all: that is how protobuf merges repeated fields.
 */
export function listEncoder<Item extends { readonly record: object }>(
  stateOf: (item: Item) => unknown,
  encode: (item: Item) => Uint8Array,
): (items: readonly Item[]) => Encoded {
  const known = new WeakMap<object, { state: unknown; bytes: Buffer }>();
  const entry = (item: Item): Buffer => {
    const state = stateOf(item);
    const found = known.get(item.record);
    if (found && found.state === state) return found.bytes;
    const bytes = Buffer.from(encode(item));
    known.set(item.record, { state, bytes });
    return bytes;
  };
  return (items) => new Encoded(Buffer.concat(items.map(entry)));
}
