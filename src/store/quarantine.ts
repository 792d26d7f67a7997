import { type Change, MAX_KEY_BYTES } from './backend.ts';
import { encodeRecord, jsonCodec } from './codec.ts';

/** The table of what could not be read: it is kept, and in nobody's way. */
export const QUARANTINE = 'quarantine';

export interface Damaged {
  readonly table: string;
  readonly key: string;
  readonly error: string;
  readonly bytes: Buffer;
}

interface Row {
  table: string;
  key: string;
  error: string;
  /** Base64 of the record's bytes. */
  bytes: string;
}

/** The row that keeps a record which cannot be read. */
export function quarantineRow({ table, key, error, bytes }: Damaged): Change {
  const row: Row = { table, key, error, bytes: bytes.toString('base64') };
  return {
    // A damaged key may have any length that there is.
    key: Buffer.from(`${QUARANTINE}/${table}/${key}`).toString('utf8', 0, MAX_KEY_BYTES),
    value: encodeRecord(jsonCodec<Row>(), row),
  };
}
