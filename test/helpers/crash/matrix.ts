import { setTimeout as sleep } from 'node:timers/promises';
import { disagreements } from './agreement.ts';
import { ServerDied } from './doomed-server.ts';
import type { Operation } from './operations.ts';
import type { Scene, World } from './world.ts';

/** The server's failpoints, all of them; docs/testing.md has them. */
export const SERVER_POINTS = [
  ...['store.*', 'journal.*', 'lmdb.*', 'monitor.*', 'cgroup.*', 'file.*', 'exit-record.*'],
  ...['cni.*', 'blob.*', 'layer.*'],
];

/** How long a point that is hit in the background may take to be, ms. */
const BACKGROUND_MS = 2_000;

export interface Cell {
  readonly operation: string;
  readonly point: string;
  /** Counted from 1. */
  readonly hit: number;
}

export const nameOf = ({ operation, point, hit }: Cell) => `${operation}/${point}@${hit}`;

/** What came of a cell: words of what was wrong; `met` is false where nothing was killed. */
export interface Outcome {
  met: boolean;
  problems: string[];
}

/** Every hit of every failpoint that an operation comes by, by an undisturbed run of it. */
export async function cellsOf(
  world: World,
  operation: Operation,
  points: readonly string[] = SERVER_POINTS,
): Promise<Cell[]> {
  const { server } = world;
  const scene = await operation.prepare(world);
  await server.ask('arm', points.map((point) => `${point}=count`).join(';'));
  await operation.act(world, scene);
  let hits = await server.ask('hits');
  // What is committed goes on to the engine after a while.
  while (points === SERVER_POINTS && hits.has('journal.append') && !hits.has('lmdb.flush')) {
    await sleep(5);
    hits = await server.ask('hits');
  }
  await server.ask('arm', '');
  const left = await world.clear();
  if (Object.keys(left).length > 0) {
    throw new Error(`${operation.name}: without a crash ${JSON.stringify(left)} is left`);
  }
  return [...hits].flatMap(([point, count]) =>
    Array.from({ length: Math.min(count, certain(point, hits)) }, (_, index) => ({
      operation: operation.name,
      point,
      hit: index + 1,
    })),
  );
}

/** How many of a point's hits come in every run: what gathers in the background may come in one. */
function certain(point: string, hits: ReadonlyMap<string, number>): number {
  // Of an operation that commits nothing, they are what was done before it.
  if (point.startsWith('lmdb.')) return hits.has('journal.append') ? 1 : 0;
  if (point === 'journal.sync') return hits.get('store.flush') ?? 0;
  return Number.POSITIVE_INFINITY;
}

/**
 * Kills the server at one hit of one failpoint in the middle of the operation, starts it again, and
 * does the operation again.
 */
export async function crash(world: World, operation: Operation, cell: Cell): Promise<Outcome> {
  const problems: string[] = [];
  const tell = (when: string, what: string[]) =>
    problems.push(...what.map((each) => `${when}: ${each}`));
  const scene = await operation.prepare(world);
  await world.server.ask('arm', `${cell.point}=kill@${cell.hit}`);
  const ending = await killed(world, operation, scene);
  if (ending !== 'SIGKILL') {
    await world.server.ask('arm', '');
    await world.clear();
    return { met: false, problems: ending === 'alive' ? [] : [ending] };
  }
  await world.server.launch();
  const found = await world.server.ask('look');
  tell('after the restart', await disagreements(world, found));
  tell(
    'after the restart',
    failures(() => operation.found(found, scene, world)),
  );
  try {
    const answer = await operation.act(world, scene);
    const done = await world.server.ask('look');
    tell('after the retry', await disagreements(world, done));
    tell(
      'after the retry',
      failures(() => operation.done(done, scene, answer, world)),
    );
  } catch (error) {
    tell('the retry', [messageOf(error)]);
  }
  const left = await world.clear();
  if (Object.keys(left).length > 0) tell('left in the end', [JSON.stringify(left)]);
  if (problems.length > 0) tell('the server said', found.complaints);
  return { met: true, problems };
}

/** The signal that ended the server; "alive"; or why the operation failed before. */
async function killed(world: World, operation: Operation, scene: Scene): Promise<string> {
  try {
    await operation.act(world, scene);
  } catch (error) {
    if (!(error instanceof ServerDied)) return messageOf(error);
  }
  return Promise.race([world.server.gone, sleep(BACKGROUND_MS, 'alive')]);
}

/** What a function that asserts has to say. */
export function failures(check: () => void): string[] {
  try {
    check();
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
