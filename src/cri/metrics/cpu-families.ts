import { type Family, labelled, plain, type Subject, seconds } from './family.ts';

const PREFIX = 'container_cpu_';

export const cpuFamilies: readonly Family<Subject>[] = [
  labelled(
    'counter',
    `${PREFIX}usage_seconds_total`,
    'CPU time used, on all processors together ("total"), whole seconds.',
    ['cpu'],
    ({ sample }) => {
      const total = seconds(sample.usage.cpu?.total);
      return total === undefined ? [] : [[total, 'total']];
    },
  ),
  plain(
    'counter',
    `${PREFIX}user_seconds_total`,
    'CPU time used in user mode, whole seconds.',
    ({ sample }) => seconds(sample.usage.cpu?.user),
  ),
  plain(
    'counter',
    `${PREFIX}system_seconds_total`,
    'CPU time used in the kernel, whole seconds.',
    ({ sample }) => seconds(sample.usage.cpu?.system),
  ),
  plain(
    'counter',
    `${PREFIX}cfs_periods_total`,
    'Periods of the CPU quota in which the container wanted to run.',
    ({ sample }) => sample.usage.throttling?.periods,
  ),
  plain(
    'counter',
    `${PREFIX}cfs_throttled_periods_total`,
    'Periods in which the container had used up its CPU quota.',
    ({ sample }) => sample.usage.throttling?.throttledPeriods,
  ),
  plain(
    'counter',
    `${PREFIX}cfs_throttled_seconds_total`,
    'Time that the CPU quota kept the container from running, whole seconds.',
    ({ sample }) => seconds(sample.usage.throttling?.throttled),
  ),
];

export const pressureFamilies: readonly Family<Subject>[] = (
  [
    ['cpu', 'the CPU'],
    ['memory', 'memory'],
    ['io', 'I/O'],
  ] as const
).flatMap(([resource, words]) => [
  plain<Subject>(
    'counter',
    `container_pressure_${resource}_waiting_seconds_total`,
    `Time in which some task of the container waited for ${words}, whole seconds; of cgroup v2.`,
    ({ sample }) => seconds(sample.usage.pressure?.[resource]?.some?.total),
  ),
  plain<Subject>(
    'counter',
    `container_pressure_${resource}_stalled_seconds_total`,
    `Time in which all tasks of the container waited for ${words}, whole seconds; of cgroup v2.`,
    ({ sample }) => seconds(sample.usage.pressure?.[resource]?.full?.total),
  ),
]);
