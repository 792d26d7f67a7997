/**
 * Requests as bytes, by the schema alone: also such that no well-meant encoder would write. Text may
 * be given as bytes that are no UTF-8, and a map as entries that repeat or have any key.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { enums, type Field, messages } from './schema.ts';

export type Value = string | number | bigint | boolean | Uint8Array | Value[] | Message;
export type Message = { [key: string]: Value };

const LENGTH_DELIMITED = 2;
const VARINT = 0;

export function encode(message: string, value: Message): Uint8Array {
  const writer = new BinaryWriter();
  for (const field of messages.get(message) ?? []) {
    const given = value[field.key];
    if (given === undefined) continue;
    const all = field.map ? entries(given) : Array.isArray(given) ? given : [given];
    for (const each of all) one(writer, field, each);
  }
  return writer.finish();
}

function entries(given: Value): Value[] {
  return Array.isArray(given) ? given : Object.entries(given as Message);
}

function one(writer: BinaryWriter, field: Field, value: Value): void {
  if (field.map) {
    const [key = '', content = ''] = value as Value[];
    const entry = new BinaryWriter();
    text(entry.tag(1, LENGTH_DELIMITED), key);
    text(entry.tag(2, LENGTH_DELIMITED), content);
    writer.tag(field.number, LENGTH_DELIMITED).bytes(entry.finish());
  } else if (messages.has(field.type)) {
    writer.tag(field.number, LENGTH_DELIMITED).bytes(encode(field.type, value as Message));
  } else if (field.type === 'string' || field.type === 'bytes') {
    text(writer.tag(field.number, LENGTH_DELIMITED), value);
  } else {
    number(writer.tag(field.number, VARINT), field.type, value as number | bigint | boolean);
  }
}

function text(writer: BinaryWriter, value: Value): void {
  if (value instanceof Uint8Array) writer.bytes(value);
  else writer.string(String(value));
}

function number(writer: BinaryWriter, type: string, value: number | bigint | boolean): void {
  if (type === 'bool') writer.bool(Boolean(value));
  else if (type === 'int64') writer.int64(BigInt(value));
  else if (type === 'uint64') writer.uint64(BigInt(value));
  else if (type === 'uint32') writer.uint32(Number(value));
  else if (type === 'int32' || enums.has(type)) writer.int32(Number(value));
  else throw new Error(`the encoder does not know ${type}`);
}
