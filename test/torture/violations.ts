import { setTimeout as sleep } from 'node:timers/promises';
import { deferred } from '../../src/runtime/deferred.ts';

const SHOWN = 30;
/** With this many the run is ended: what follows would follow from them. */
const FATAL = 10;
/** What has begun may end by itself for so long. */
const PATIENCE_MS = 5_000;

/** What was found wrong. */
export class Violations {
  readonly #over = deferred<void>();
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
    if (this.found.length >= FATAL) this.#end();
  }

  /** One after which no server may answer. */
  fail(what: string): void {
    this.#end();
    this.add(what);
  }

  /** Resolves some time after nothing can come right any more: what still waits, waits in vain. */
  async over(): Promise<void> {
    await this.#over.promise;
    await sleep(PATIENCE_MS);
  }

  #end(): void {
    this.fatal = true;
    this.#over.resolve();
  }
}
