import { type SeriesMap, type Summary, summarise } from './stats.ts';

export type Unit = 'ms' | 'MB/s' | 'CPU ms' | 'CPU ms/MB' | 'KiB' | '% of a core' | 'a second';

/** One thing measured of one contestant. */
export interface Row {
  who: string;
  what: string;
  unit: Unit;
  summary: Summary;
  /** Of this, more is better. */
  moreIsBetter?: boolean;
}

export interface BarChart {
  kind: 'bars';
  title: string;
  unit: Unit;
  /** What each group of bars shows, a row's `what`; each contestant that has it is a bar. */
  whats: string[];
}

export interface LineChart {
  kind: 'lines';
  title: string;
  unit: Unit;
  x: string;
  lines: { label: string; points: [x: number, y: number][] }[];
}

/** What a benchmark has found. */
export interface Outcome {
  rows: Row[];
  charts: (BarChart | LineChart)[];
  /** What a reader has to know: sizes, conditions, who was left out and why. */
  notes: string[];
}

/** One row for each series. */
export function rowsOf(series: SeriesMap, unit: Unit): Row[] {
  return [...series].flatMap(([who, phases]) =>
    [...phases].map(([what, values]) => ({ who, what, unit, summary: summarise(values) })),
  );
}

export function row(who: string, what: string, unit: Unit, ...values: number[]): Row {
  return { who, what, unit, summary: summarise(values) };
}

/** The contestant that all others are compared with. */
export const OURS = 'coracle';
