/** What chance chooses for pods and containers; pure. */
import { type DeepPartial, NamespaceMode, type PodSandboxConfig } from '../../src/cri/gen/cri.ts';
import type { Random } from './random.ts';

const SIGTERM = 15;
const SIGILL = 4;
const SIGSEGV = 11;
/** Those that a process can end itself with. */
const SIGNALS = [1, 2, 3, 6, 8, 9, 13, 15];

export interface PodPlan {
  name: string;
  network: 'pod' | 'node';
  /** Processes of all containers in one namespace, or each container's own, or the host's. */
  pid: 'pod' | 'container' | 'node';
  hostPort?: number;
  /** Containers at the same time, and one after another in each place. */
  width: number;
  depth: number;
  /** Ended under its containers, after this many ms; absent: when they are through. */
  endsAfterMs?: number;
  /** Its monitor is killed after this many ms. */
  monitorDiesAfterMs?: number;
}

export interface ContainerPlan {
  /** 0: without end. */
  lines: number;
  longest: number;
  pauseUs: number;
  burst: number;
  end: { kind: 'exit' | 'signal' | 'fault' | 'pause'; number: number };
  term: { kind: 'exit' | 'ignore' | 'default'; number: number };
  tty: boolean;
  seed: number;
}

export function planPod(random: Random, name: string, port: number): PodPlan {
  const network = random.weighted({ pod: 3, node: 1 });
  return {
    name,
    network,
    pid: random.weighted({ container: 4, pod: 3, node: 1 }),
    ...(network === 'pod' && random.chance(25) && { hostPort: port }),
    width: random.int(1, 4),
    depth: random.int(1, 3),
    ...(random.chance(20) && { endsAfterMs: random.int(0, 2500) }),
    ...(random.chance(12) && { monitorDiesAfterMs: random.int(0, 2500) }),
  };
}

export function planContainer(random: Random, pid: PodPlan['pid']): ContainerPlan {
  const endless = random.chance(30);
  const flood = random.chance(10);
  return {
    lines: endless ? 0 : flood ? random.int(500, 20_000) : random.int(0, 300),
    longest: random.pick([200, 2_000, 20_000, 70_000, 300_000]),
    pauseUs: !endless && flood ? 0 : random.pick([500, 5_000, 50_000]),
    burst: random.int(1, 20),
    end: planEnd(random, pid),
    term: {
      kind: random.weighted({ exit: 3, ignore: 1, default: 1 }),
      number: random.int(0, 127),
    },
    tty: random.chance(15),
    seed: random.bits() >>> 1,
  };
}

function planEnd(random: Random, pid: PodPlan['pid']): ContainerPlan['end'] {
  const kind = random.weighted({ exit: 6, signal: 2, fault: 1, pause: 2 });
  if (kind === 'fault') return { kind, number: random.pick([SIGILL, SIGSEGV]) };
  // Process 1 of a namespace gets no signal of its own that it does not handle.
  if (kind === 'signal' && pid !== 'container') return { kind, number: random.pick(SIGNALS) };
  return kind === 'pause' ? { kind, number: 0 } : { kind: 'exit', number: random.int(0, 127) };
}

/** What SIGTERM makes of a container that runs: its exit code, or undefined where it goes on. */
export function codeOfTerm({ term }: ContainerPlan, pid: PodPlan['pid']): number | undefined {
  if (term.kind === 'exit') return term.number;
  return term.kind === 'default' && pid !== 'container' ? 128 + SIGTERM : undefined;
}

/** The arguments of the actor (actor.c). */
export function actorArgs(key: string, plan: ContainerPlan): string[] {
  const { seed, lines, longest, pauseUs, burst, end, term, tty } = plan;
  const numbers = [seed, lines, longest, pauseUs, burst].map(String);
  const ends = [`${end.kind}:${end.number}`, `${term.kind}:${term.number}`].map((each) =>
    each.replace(/^(pause|ignore|default):.*/, '$1'),
  );
  return ['/bin/actor', 'log', key, ...numbers, ...ends, ...(tty ? ['tty'] : [])];
}

const PID_MODES = {
  pod: NamespaceMode.POD,
  container: NamespaceMode.CONTAINER,
  node: NamespaceMode.NODE,
} as const;

export function namespacesOf(plan: PodPlan) {
  return {
    network: plan.network === 'pod' ? NamespaceMode.POD : NamespaceMode.NODE,
    pid: PID_MODES[plan.pid],
  };
}

export function podConfig(plan: PodPlan, logDirectory: string): DeepPartial<PodSandboxConfig> {
  const { name, network, hostPort } = plan;
  return {
    metadata: { name, namespace: 'torture', uid: `uid-${name}`, attempt: 0 },
    ...(network === 'pod' && { hostname: name }),
    logDirectory,
    labels: { torture: name },
    ...(hostPort !== undefined && { portMappings: [{ containerPort: 80, hostPort }] }),
    linux: { securityContext: { namespaceOptions: namespacesOf(plan) } },
  };
}
