/** The part of pino's interface that is used. */
export interface CniLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const SILENT: CniLog = { info() {}, warn() {}, error() {} };
