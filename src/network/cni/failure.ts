import { CoracleError, type ErrorKind } from '../../errors.ts';

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'STATUS' | 'GC' | 'VERSION';

/** Whose failure it is. */
export interface CallSite {
  readonly plugin: string;
  readonly command: CniCommand;
  readonly network: string;
}

/** Well-known codes of an error result (CNI spec 1.1.0, sections 2 and 5). */
export const UNKNOWN_CONTAINER = 3;
const INCOMPATIBLE_VERSION = 1;
const UNSUPPORTED_FIELD = 2;
const INVALID_CONFIG = 7;
const TRY_AGAIN = 11;
const NOT_AVAILABLE = 50;
const NOT_AVAILABLE_LIMITED = 51;

const KINDS = new Map<number | undefined, ErrorKind>([
  [INCOMPATIBLE_VERSION, 'FailedPrecondition'],
  [UNSUPPORTED_FIELD, 'FailedPrecondition'],
  [INVALID_CONFIG, 'FailedPrecondition'],
  [TRY_AGAIN, 'Unavailable'],
  [NOT_AVAILABLE, 'Unavailable'],
  [NOT_AVAILABLE_LIMITED, 'Unavailable'],
]);

/** A plugin has failed, or could not be run. */
export class CniFailure extends CoracleError implements CallSite {
  readonly plugin: string;
  readonly command: CniCommand;
  readonly network: string;
  /** Of the plugin's error result; undefined where it gave none. */
  readonly code: number | undefined;

  constructor(
    site: CallSite,
    what: string,
    options: { kind?: ErrorKind; code?: number | undefined; cause?: unknown } = {},
  ) {
    const kind = options.kind ?? KINDS.get(options.code) ?? 'Internal';
    super(kind, `CNI network ${site.network}: plugin ${site.plugin}: ${site.command}: ${what}`, {
      reason: 'CniFailure',
      ...(options.cause !== undefined && { cause: options.cause }),
    });
    this.plugin = site.plugin;
    this.command = site.command;
    this.network = site.network;
    this.code = options.code;
  }
}
