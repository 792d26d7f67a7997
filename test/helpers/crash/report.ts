import { type Cell, nameOf, type Outcome } from './matrix.ts';

/** The outcomes of cells, as a table of operations and kinds of failpoints. */
export class Report {
  readonly #outcomes: [Cell, Outcome][] = [];

  add(cell: Cell, outcome: Outcome): void {
    this.#outcomes.push([cell, outcome]);
  }

  get size(): number {
    return this.#outcomes.length;
  }

  /** Cells in which something was wrong, or which were not met, with how to do one alone. */
  get failures(): string[] {
    return this.#outcomes
      .filter(([, { met, problems }]) => !met || problems.length > 0)
      .map(([cell, { met, problems }]) => {
        const what = met ? [] : ['nothing was killed: the failpoint was not hit'];
        const lines = [...what, ...problems].map((each) => `\n    ${each}`).join('');
        return `CORACLE_CRASH_CELL='${nameOf(cell)}'${lines}`;
      });
  }

  /** Rows of operations, columns of kinds of points, each with the cells that are right of all. */
  table(title: string): string {
    const kinds = unique(this.#outcomes.map(([cell]) => kindOf(cell)));
    const operations = unique(this.#outcomes.map(([cell]) => cell.operation));
    const right = (fits: (cell: Cell) => boolean) => {
      const some = this.#outcomes.filter(([cell]) => fits(cell));
      const ok = some.filter(([, { met, problems }]) => met && problems.length === 0);
      return some.length === 0 ? '' : `${ok.length}/${some.length}`;
    };
    const rows = [
      [title, ...kinds, 'all'],
      ...operations.map((operation) => [
        operation,
        ...kinds.map((kind) =>
          right((cell) => cell.operation === operation && kindOf(cell) === kind),
        ),
        right((cell) => cell.operation === operation),
      ]),
      ['all', ...kinds.map((kind) => right((cell) => kindOf(cell) === kind)), right(() => true)],
    ];
    const widths = (rows[0] ?? []).map((_, column) =>
      Math.max(...rows.map((row) => row[column]?.length ?? 0)),
    );
    return rows
      .map((row) => row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  '))
      .join('\n');
  }
}

/** "store.commit" is of the kind "store". */
const kindOf = ({ point }: Cell) => point.split('.')[0] ?? point;

const unique = <T>(all: T[]): T[] => [...new Set(all)];
