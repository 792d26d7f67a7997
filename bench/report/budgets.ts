import { OURS, type Unit } from '../outcome.ts';
import type { Summary } from '../stats.ts';
import { figure, quantity } from './format.ts';
import { measuredOf, type Results } from './results.ts';

/** One thing that a budget asks for; `met` is undefined where it was not measured. */
export interface Check {
  text: string;
  met: boolean | undefined;
}

export interface Budget {
  what: string;
  budget: string;
  checks(read: Read): Check[];
}

type Read = (benchmark: string, who: string, what: string, field?: keyof Summary) => number;

const CRUN = 'containerd + crun';
const RUNC = 'containerd + runc';
/** 500 pods, where what they weigh and take is limited. */
const MANY = '500 pods';
/** A rate of a hundred a second is reached where at least so many were done: the last one is waited for. */
const NEARLY_100 = 95;

function atMost(what: string, value: number, limit: number, unit: Unit): Check {
  return {
    text: `${what}${quantity(value, unit)}`,
    met: Number.isFinite(value) ? value <= limit : undefined,
  };
}

function atLeast(what: string, value: number, limit: number, unit: Unit): Check {
  return {
    ...atMost(what, value, limit, unit),
    met: value >= limit || (value < limit ? false : undefined),
  };
}

/** Theirs is to be at least so many times ours. */
function times(what: string, ours: number, theirs: number, factor: number): Check {
  const ratio = theirs / ours;
  return {
    text: `${what}1/${figure(ratio)}`,
    met: Number.isFinite(ratio) ? ratio >= factor : undefined,
  };
}

/** crun made launches several times faster after the release that Debian 12 has. */
function crunFactor(results: Results): number {
  const [, major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(results.machine.peers.crun ?? '') ?? [];
  return Number(major) === 1 && Number(minor) < 9 ? 8 : 3;
}

/** What the design asks for, each row of its table. */
export function budgets(results: Results): Budget[] {
  const rpc = (read: Read, call: string, who = OURS) => read('rpc', who, call);
  const against = (read: Read, call: string, factor: number) =>
    times(`${call} `, rpc(read, call), rpc(read, call, CRUN), factor);
  const first = 'create + start → first instruction';
  const start = 'start → first instruction';
  const woken = `launched ahead: ${start}`;
  return [
    {
      what: 'StartContainer RPC, its commit included',
      budget: '≤ 1/20 of containerd + crun, ≤ 1/40 of containerd + runc',
      checks: (read) =>
        (
          [
            [CRUN, 20],
            [RUNC, 40],
          ] as const
        ).map(([who, factor]) =>
          times(
            `of ${who}: `,
            rpc(read, 'StartContainer'),
            rpc(read, 'StartContainer', who),
            factor,
          ),
        ),
    },
    {
      what: 'CreateContainer / StopContainer / RemoveContainer RPC',
      budget: '≤ 1/4, 1/10, 1/2 of containerd + crun',
      checks: (read) => [
        against(read, 'CreateContainer', 4),
        against(read, 'StopContainer', 10),
        against(read, 'RemoveContainer', 2),
      ],
    },
    {
      what: 'native start (embedding API, launched ahead: start → first instruction)',
      budget: '≤ 0.5 ms; ≥ 10 times faster than `crun start`',
      checks: (read) => [
        atMost('', read('launch', OURS, woken), 0.5, 'ms'),
        times('of `crun start`: ', read('launch', OURS, woken), read('launch', 'crun', start), 10),
      ],
    },
    {
      what: 'create + start → first instruction, embedding API (`pod.run`), existing pod',
      budget: "≥ 3 times faster than current crun `run`, ≥ 8 than Debian 12's crun, ≥ 14 than runc",
      checks: (read) => [
        times(
          `of crun ${results.machine.peers.crun ?? ''}: `,
          read('launch', OURS, 'run → first instruction'),
          read('launch', 'crun', first),
          crunFactor(results),
        ),
        times(
          'of runc: ',
          read('launch', OURS, 'run → first instruction'),
          read('launch', 'runc', first),
          14,
        ),
      ],
    },
    {
      what: 'RunPodSandbox, embedded network / CNI bridge',
      budget: '≤ 5 ms / plugin time + 4 ms',
      checks: (read) => {
        const call = 'RunPodSandbox, CNI bridge';
        const over = read('pods', OURS, call) - read('pods', 'plugins alone', call);
        return [
          atMost('embedded ', read('pods', OURS, 'RunPodSandbox, embedded network'), 5, 'ms'),
          atMost('CNI: plugin time + ', over, 4, 'ms'),
        ];
      },
    },
    {
      what: 'StopPodSandbox + RemovePodSandbox, embedded network',
      budget: '≤ 1/20 of containerd',
      checks: (read) => {
        const both = 'StopPodSandbox + RemovePodSandbox';
        const theirs = read('pods', CRUN, `${both}, CNI bridge`);
        return [times('', read('pods', OURS, `${both}, embedded network`), theirs, 20)];
      },
    },
    {
      what: 'ExecSync `true`',
      budget: '≤ 1/8 of containerd + crun; 100 probes a second ≤ 10 % of a core',
      checks: (read) => [
        times('', read('exec', OURS, 'ExecSync true'), read('exec', CRUN, 'ExecSync true'), 8),
        atMost('probes: ', read('exec', OURS, 'CPU of server and monitor'), 10, '% of a core'),
        atLeast('at ', read('exec', OURS, 'probes'), NEARLY_100, 'a second'),
      ],
    },
    {
      what: 'container exit → promise in an embedding program; → durable EXITED',
      budget: '≤ 0.3 ms; ≤ 3 ms',
      checks: (read) => {
        const durable = read('exit', OURS, 'exit → promise, on disk');
        return [
          atMost('', read('exit', OURS, 'exit → promise'), 0.3, 'ms'),
          atMost('durable: ', durable, 3, 'ms'),
        ];
      },
    },
    {
      what: 'logs, CRI framing, one core, 100 B lines',
      budget: "≥ 500 MB/s; CPU per MB ≤ 1/20 of containerd's whole path",
      checks: (read) => {
        const cpu = 'CPU, 100 B lines';
        return [
          atLeast('', read('logs', OURS, '100 B lines'), 500, 'MB/s'),
          times('CPU ', read('logs', OURS, cpu), read('logs', CRUN, cpu), 20),
        ];
      },
    },
    {
      what: 'memory per pod beside its containers (PSS)',
      budget: "≤ 150 KB, kernel's netns apart",
      checks: (read) => {
        const what = `memory for each pod, ${results.size === 'full' ? MANY : manyOf(results)}`;
        return [atMost('', read('scale', OURS, what), 150_000 / 1024, 'KiB')];
      },
    },
    {
      what: 'server RSS: idle; 500 pods with 1,000 containers',
      budget: '≤ 90 MB; ≤ 180 MB',
      checks: (read) => [
        atMost('', read('scale', OURS, 'server RSS, 0 pods'), 90e6 / 1024, 'KiB'),
        atMost(`${MANY}: `, read('scale', OURS, `server RSS, ${MANY}`), 180e6 / 1024, 'KiB'),
      ],
    },
    {
      what: 'ListContainers p99, 1,000 containers, 8 clients creating and removing',
      budget: '≤ 15 ms',
      checks: (read) => {
        const what = 'ListContainers, 1000 containers';
        return [atMost('', read('status', OURS, what, 'p99'), 15, 'ms')];
      },
    },
    {
      what: 'event-loop delay added to a 1 GB embedding process at 100 launches a second, p99',
      budget: '≤ 2 ms',
      checks: (read) => [
        atMost('', read('loop', OURS, 'delay added, p99'), 2, 'ms'),
        atLeast('at ', read('loop', OURS, 'launches'), NEARLY_100, 'a second'),
      ],
    },
    {
      what: '50 pods one after another: started / stopped and removed',
      budget: '≤ 1/15 of containerd',
      checks: (read) =>
        ['pods started', 'pods stopped and removed'].map((what) =>
          times(`${what}: `, read('pods', OURS, what), read('pods', CRUN, what), 15),
        ),
    },
    {
      what: 'CPU at rest with 500 pods',
      budget: '≤ 0.02 core',
      checks: (read) => [atMost('', read('scale', OURS, `CPU at rest, ${MANY}`), 2, '% of a core')],
    },
    {
      what: 'restart with 500 pods until every RPC is served',
      budget: '≤ 1.5 s',
      checks: (read) => [atMost('', read('scale', OURS, `restart, ${MANY}`), 1500, 'ms')],
    },
  ];
}

/** The largest number of pods that was measured. */
function manyOf(results: Results): string {
  const rows = results.benchmarks.find(({ name }) => name === 'scale')?.rows ?? [];
  const sizes = rows.flatMap(({ what }) =>
    Number(/^memory for each pod, (\d+) pods$/.exec(what)?.[1] ?? []),
  );
  return `${Math.max(0, ...sizes)} pods`;
}

export interface Verdict {
  what: string;
  budget: string;
  measured: string;
  met: 'yes' | 'no' | 'not measured';
}

export function verdicts(results: Results): Verdict[] {
  const read: Read = (...place) => measuredOf(results, place[0], place[1], place[2], place[3]);
  return budgets(results).map(({ what, budget, checks }) => {
    const found = checks(read);
    const known = found.filter(({ met }) => met !== undefined);
    const measured = known.map(({ text }) => text).join('; ') || '–';
    if (known.some(({ met }) => met === false)) return { what, budget, measured, met: 'no' };
    return { what, budget, measured, met: known.length < found.length ? 'not measured' : 'yes' };
  });
}
