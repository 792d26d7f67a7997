/** Largest number that struct winsize of ioctl_tty(2) holds. */
const LARGEST = 65_535;

/** Whether a terminal can have this size; clients send 0 while they do not know theirs (XS-10). */
export function isSize(rows: number, cols: number): boolean {
  return [rows, cols].every((each) => Number.isInteger(each) && each >= 1 && each <= LARGEST);
}
