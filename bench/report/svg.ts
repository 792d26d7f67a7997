import type { BarChart, LineChart, Row } from '../outcome.ts';
import { figure, quantity } from './format.ts';

const WIDTH = 800;
/** Coracle's, then those of peers in the order in which they come. */
const COLOURS = ['#1f6feb', '#8c959f', '#bf8700', '#cf222e', '#8250df'];
const BAR = 20;
const NAMES = 190;
const FIGURES = 110;

function text(x: number, y: number, words: string, more = ''): string {
  const safe = words.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;' })[c] ?? '&gt;');
  return `<text x="${x}" y="${y}" ${more}>${safe}</text>`;
}

function document(title: string, height: number, parts: string[]): string {
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const font = 'font-family="sans-serif" font-size="13" fill="#1f2328"';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font} role="img">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${[text(10, 22, title, 'font-size="15" font-weight="bold"'), ...parts].join('\n')}
</svg>
`;
}

/** Colours by contestant, the same in all of a chart. */
function palette(names: readonly string[]): (name: string) => string {
  const all = [...new Set(names)];
  return (name) => COLOURS[all.indexOf(name) % COLOURS.length] ?? '#000000';
}

/** Horizontal bars from 0 to the median, with a whisker from quartile to quartile. */
export function barChart(chart: BarChart, rows: readonly Row[]): string {
  const groups = chart.whats.map((what) => rows.filter((row) => row.what === what));
  const shown = groups.flat();
  const most = Math.max(...shown.map(({ summary }) => Math.max(summary.median, summary.q3)), 1e-9);
  const scale = (value: number) => (Math.max(0, value) / most) * (WIDTH - NAMES - FIGURES);
  const colour = palette(shown.map(({ who }) => who));
  const parts: string[] = [];
  let y = 40;
  for (const [index, group] of groups.entries()) {
    if (group.length === 0) continue;
    parts.push(text(10, y + 14, chart.whats[index] ?? '', 'font-weight="bold"'));
    y += 22;
    for (const { who, summary } of group) {
      const [from, to] = [summary.q1, summary.q3].map((value) => (NAMES + scale(value)).toFixed(1));
      const width = Math.max(1, scale(summary.median)).toFixed(1);
      const middle = y + BAR / 2;
      const box = `x="${NAMES}" y="${y + 2}" width="${width}" height="${BAR - 4}"`;
      parts.push(text(NAMES - 8, middle + 4, who, 'text-anchor="end"'));
      parts.push(`<rect ${box} fill="${colour(who)}"/>`);
      parts.push(`<path d="M${from} ${middle}H${to}" stroke="#1f2328" stroke-width="1.5"/>`);
      const end = NAMES + scale(Math.max(summary.median, summary.q3)) + 6;
      parts.push(text(Number(end.toFixed(1)), middle + 4, quantity(summary.median, chart.unit)));
      y += BAR;
    }
    y += 8;
  }
  return document(chart.title, y + 8, parts);
}

const PLOT = { left: 70, top: 40, width: 520, height: 220 };

/** Lines from 0, with a mark for each point. */
export function lineChart(chart: LineChart): string {
  const points = chart.lines.flatMap((line) => line.points);
  const mostX = Math.max(...points.map(([x]) => x), 1);
  const mostY = Math.max(...points.map(([, y]) => y), 1e-9);
  const { left, top, width, height } = PLOT;
  const atX = (x: number) => Number((left + (x / mostX) * width).toFixed(1));
  const atY = (y: number) => Number((top + height - (y / mostY) * height).toFixed(1));
  const colour = palette(chart.lines.map(({ label }) => label));
  const parts = [
    `<path d="M${left} ${top}V${top + height}H${left + width}" fill="none" stroke="#8c959f"/>`,
    ...[0, 0.5, 1].map((part) =>
      text(left - 6, atY(part * mostY) + 4, figure(part * mostY), 'text-anchor="end"'),
    ),
    ...[...new Set(points.map(([x]) => x))].map((x) =>
      text(atX(x), top + height + 18, String(x), 'text-anchor="middle"'),
    ),
    text(left + width + 8, top + height + 18, chart.x),
    text(left + 8, top + 4, chart.unit),
  ];
  for (const [index, { label, points: own }] of chart.lines.entries()) {
    const path = own.map(([x, y]) => `${atX(x)},${atY(y)}`).join(' ');
    parts.push(
      `<polyline points="${path}" fill="none" stroke="${colour(label)}" stroke-width="2"/>`,
      ...own.map(
        ([x, y]) => `<circle cx="${atX(x)}" cy="${atY(y)}" r="3" fill="${colour(label)}"/>`,
      ),
      `<rect x="${left + width + 30}" y="${top + index * 20}" width="12" height="12" fill="${colour(label)}"/>`,
      text(left + width + 48, top + index * 20 + 11, label),
    );
  }
  return document(chart.title, top + height + 34, parts);
}
