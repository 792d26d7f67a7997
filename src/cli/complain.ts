import { printable } from '../observe/printable.ts';

/** One line on standard error, whatever the message looks like and is made of. */
export function complain(message: string): void {
  process.stderr.write(`coracle: ${printable(message.trim().replace(/\s*\n\s*/g, ' '))}\n`);
}
