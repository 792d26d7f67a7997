/** What was found wrong. */
const SHOWN = 30;
/** With this many the run is ended: what follows would follow from them. */
const FATAL = 10;

export class Violations {
  readonly found: string[] = [];
  /** Nothing can come right any more. */
  fatal = false;
  readonly #heard: (what: string) => void;

  constructor(heard: (what: string) => void) {
    this.#heard = heard;
  }

  add(what: string): void {
    this.found.push(what);
    if (this.found.length <= SHOWN) this.#heard(what);
    if (this.found.length >= FATAL) this.fatal = true;
  }

  /** One after which no server may answer. */
  fail(what: string): void {
    this.fatal = true;
    this.add(what);
  }
}
