/** One line on standard error, whatever the message looks like. */
export function complain(message: string): void {
  process.stderr.write(`coracle: ${message.trim().replace(/\s*\n\s*/g, ' ')}\n`);
}
