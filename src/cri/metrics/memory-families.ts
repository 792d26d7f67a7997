import { type Family, labelled, plain, type Subject, type Value } from './family.ts';

const PREFIX = 'container_memory_';

export const memoryFamilies: readonly Family<Subject>[] = [
  plain(
    'gauge',
    `${PREFIX}usage_bytes`,
    'Memory in use, page cache included, bytes.',
    ({ sample }) => sample.usage.memory?.usage,
  ),
  plain(
    'gauge',
    `${PREFIX}working_set_bytes`,
    'Memory in use without inactive page cache, which is dropped when memory is short, bytes.',
    ({ sample }) => sample.usage.memory?.workingSet,
  ),
  plain(
    'gauge',
    `${PREFIX}max_usage_bytes`,
    'The most memory ever in use, bytes; on cgroup v2 from Linux 5.19.',
    ({ sample }) => sample.usage.memoryDetail?.maxUsage,
  ),
  plain(
    'gauge',
    `${PREFIX}rss`,
    'Anonymous memory, without swap, bytes.',
    ({ sample }) => sample.usage.memory?.rss,
  ),
  plain(
    'gauge',
    `${PREFIX}cache`,
    'Page cache and shared memory, bytes.',
    ({ sample }) => sample.usage.memoryDetail?.cache,
  ),
  plain(
    'gauge',
    `${PREFIX}mapped_file`,
    'Files that are mapped into memory, bytes.',
    ({ sample }) => sample.usage.memoryDetail?.mappedFile,
  ),
  plain(
    'gauge',
    `${PREFIX}total_active_file_bytes`,
    'Page cache that was used lately, bytes.',
    ({ sample }) => sample.usage.memoryDetail?.activeFile,
  ),
  plain(
    'gauge',
    `${PREFIX}total_inactive_file_bytes`,
    'Page cache that was not used lately, bytes.',
    ({ sample }) => sample.usage.memoryDetail?.inactiveFile,
  ),
  plain(
    'gauge',
    `${PREFIX}kernel_usage`,
    'Memory that the kernel holds for the container, bytes.',
    ({ sample }) => sample.usage.memoryDetail?.kernel,
  ),
  plain(
    'gauge',
    `${PREFIX}swap`,
    'Swap in use, bytes; where the kernel accounts swap.',
    ({ sample }) => sample.usage.swap?.usage,
  ),
  plain(
    'counter',
    `${PREFIX}failcnt`,
    'How often memory use met its limit.',
    ({ sample }) => sample.usage.memoryDetail?.limitHits,
  ),
  labelled(
    'counter',
    `${PREFIX}failures_total`,
    'Page faults, all (pgfault) and those that had to wait for a disk (pgmajfault), of the ' +
      'container and with the cgroups below; cgroup v2 counts them together.',
    ['failure_type', 'scope'],
    ({ sample }) => faults(sample.usage),
  ),
  plain(
    'counter',
    'container_oom_events_total',
    'Processes of the container that were killed because memory had run out.',
    ({ sample }) => sample.usage.memoryDetail?.oomKills,
  ),
];

/** On v2 the cgroups that a container makes for itself count as the container. */
function faults({ memory, memoryDetail }: Subject['sample']['usage']): Value[] {
  if (memory === undefined) return [];
  const { pageFaults, majorPageFaults } = memory;
  return [
    [memoryDetail?.ownPageFaults ?? pageFaults, 'pgfault', 'container'],
    [memoryDetail?.ownMajorPageFaults ?? majorPageFaults, 'pgmajfault', 'container'],
    [pageFaults, 'pgfault', 'hierarchy'],
    [majorPageFaults, 'pgmajfault', 'hierarchy'],
  ];
}

export const hugepageFamilies: readonly Family<Subject>[] = [
  labelled(
    'gauge',
    'container_hugetlb_usage_bytes',
    'Huge pages in use, bytes; where the host has the hugetlb controller.',
    ['pagesize'],
    ({ sample }) => (sample.usage.hugepages ?? []).map(({ size, usage }) => [usage, size]),
  ),
  labelled(
    'gauge',
    'container_hugetlb_max_usage_bytes',
    'The most huge pages ever in use, bytes; of cgroup v1.',
    ['pagesize'],
    ({ sample }) =>
      (sample.usage.hugepages ?? []).flatMap(({ size, maxUsage }): Value[] =>
        maxUsage === undefined ? [] : [[maxUsage, size]],
      ),
  ),
];
