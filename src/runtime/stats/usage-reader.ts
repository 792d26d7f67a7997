import { throwIfAborted } from '../../errors.ts';
import type { ProcessCounts, StatsAddon } from '../../native/stats-types.ts';
import { SerialQueue } from '../../store/serial-queue.ts';
import type { CgroupLayout } from '../cgroup/index.ts';
import { CpuRates } from './rates.ts';
import { cpuPlan, detailPlan, type ReadPlan, usagePlan } from './read-plan.ts';
import type { CgroupUsage } from './usage.ts';

/**
 * Files that one call of the addon reads. A thousand containers are some thirty calls, each a
 * few ms of a worker thread and well below 1 ms of the event loop; between two calls whatever
 * else waits for either gets its turn.
 */
const BATCH_FILES = 256;
/** Cgroups whose processes one call counts. */
const BATCH_CGROUPS = 32;
/** How long the first rate of a cgroup that nobody has asked for before is measured, ms. */
const FIRST_WINDOW_MS = 100;

/** A cgroup that is to be read. */
export interface CgroupTarget {
  /** Below the roots of the hierarchies. */
  path: string;
  /** Unix time in ns since which it has had processes; absent: unknown. */
  startedAt?: bigint;
}

/** What a cgroup has used up to a time. */
export interface CgroupSample {
  /** Unix time in ns. */
  timestamp: bigint;
  usage: CgroupUsage;
  /** Billionths of a core, over the last seconds. */
  nanoCores?: bigint;
}

type Native = Pick<StatsAddon, 'readFiles' | 'countProcesses'>;

/** Reads what cgroups use, many at a time, without blocking the event loop. */
export class UsageReader {
  readonly #addon: Native;
  readonly #usage: ReadPlan;
  readonly #cpu: ReadPlan;
  readonly #detail: ReadPlan;
  readonly #rates = new CpuRates();
  /** One batch at a time, whoever asks: the worker threads open the files of launches, too. */
  readonly #queue = new SerialQueue();

  constructor(addon: Native, layout: CgroupLayout, hugepageSizes: readonly string[]) {
    this.#addon = addon;
    this.#usage = usagePlan(layout);
    this.#cpu = cpuPlan(layout);
    this.#detail = detailPlan(layout, hugepageSizes);
  }

  /**
   * The samples in the order of the targets. One that is gone has an empty usage. Takes 100 ms
   * longer where a target is new to it and has run for long: then its rate has to be measured.
   */
  async sample(targets: readonly CgroupTarget[], signal?: AbortSignal): Promise<CgroupSample[]> {
    const samples = await this.#read(this.#usage, targets, signal);
    const unrated = samples.flatMap(({ usage, nanoCores }, index) =>
      usage.cpu !== undefined && nanoCores === undefined ? [index] : [],
    );
    if (unrated.length === 0) return samples;
    await new Promise((resolve) => setTimeout(resolve, FIRST_WINDOW_MS));
    const again = await this.#read(
      this.#cpu,
      unrated.map((index) => targets[index] as CgroupTarget),
      signal,
    );
    for (const [place, index] of unrated.entries()) {
      const sample = samples[index];
      const nanoCores = again[place]?.nanoCores;
      if (sample && nanoCores !== undefined) sample.nanoCores = nanoCores;
    }
    return samples;
  }

  /** As `sample`, with everything that there is to know; without rates. */
  detail(targets: readonly CgroupTarget[], signal?: AbortSignal): Promise<CgroupSample[]> {
    return this.#read(this.#detail, targets, signal);
  }

  /** Any small files, in batches like the others; null: missing or not readable. */
  async texts(paths: readonly string[], signal?: AbortSignal): Promise<(string | null)[]> {
    const all: (string | null)[] = [];
    for (let begin = 0; begin < paths.length; begin += BATCH_FILES) {
      if (signal) throwIfAborted(signal);
      const batch = paths.slice(begin, begin + BATCH_FILES);
      const { texts } = await this.#queue.run(() => this.#addon.readFiles(batch));
      all.push(...texts);
    }
    return all;
  }

  /**
   * What runs in these directories of cgroupfs and below, in their order; null: gone. With
   * `descriptors` what it has open, too, which takes about 1 µs for each of them.
   */
  async processes(
    dirs: readonly string[],
    descriptors: boolean,
    signal?: AbortSignal,
  ): Promise<(ProcessCounts | null)[]> {
    const all: (ProcessCounts | null)[] = [];
    for (let begin = 0; begin < dirs.length; begin += BATCH_CGROUPS) {
      if (signal) throwIfAborted(signal);
      const batch = dirs.slice(begin, begin + BATCH_CGROUPS);
      all.push(...(await this.#queue.run(() => this.#addon.countProcesses(batch, descriptors))));
    }
    return all;
  }

  async #read(
    plan: ReadPlan,
    targets: readonly CgroupTarget[],
    signal: AbortSignal | undefined,
  ): Promise<CgroupSample[]> {
    const samples: CgroupSample[] = [];
    const size = Math.max(1, Math.floor(BATCH_FILES / plan.length));
    for (let begin = 0; begin < targets.length; begin += size) {
      if (signal) throwIfAborted(signal);
      const batch = targets.slice(begin, begin + size);
      const { readAt, texts } = await this.#queue.run(() =>
        this.#addon.readFiles(batch.flatMap(({ path }) => plan.paths(path))),
      );
      const timestamp = BigInt(Date.now()) * 1_000_000n;
      for (const [index, target] of batch.entries()) {
        const own = texts.slice(index * plan.length, (index + 1) * plan.length);
        samples.push(this.#sampleOf(plan.parse(own), target, timestamp, readAt));
      }
    }
    return samples;
  }

  #sampleOf(
    usage: CgroupUsage,
    { path, startedAt }: CgroupTarget,
    timestamp: bigint,
    at: bigint,
  ): CgroupSample {
    const total = usage.cpu?.total;
    if (total === undefined) return { timestamp, usage };
    const age = startedAt === undefined ? undefined : timestamp - startedAt;
    const nanoCores = this.#rates.take(path, { at, total }, age);
    return { timestamp, usage, ...(nanoCores !== undefined && { nanoCores }) };
  }
}
