import { type Family, labelled, plain, type Subject } from './family.ts';

export const processFamilies: readonly Family<Subject>[] = [
  plain(
    'gauge',
    'container_processes',
    'Processes in the container.',
    ({ processes }) => processes?.processes,
  ),
  plain(
    'gauge',
    'container_threads',
    'Threads of all processes in the container.',
    ({ processes }) => processes?.threads,
  ),
  plain(
    'gauge',
    'container_threads_max',
    'Threads that the container may have; 0: as many as the host.',
    ({ sample }) => sample.usage.threads && (sample.usage.threads.limit ?? 0n),
  ),
  plain(
    'gauge',
    'container_file_descriptors',
    'Open descriptors of all processes in the container; shared ones count for each.',
    ({ processes }) => processes?.descriptors,
  ),
  plain(
    'gauge',
    'container_sockets',
    'Descriptors of sockets among container_file_descriptors.',
    ({ processes }) => processes?.sockets,
  ),
  labelled(
    'gauge',
    'container_ulimits_soft',
    "Soft limit of the container's first process; none where it is unlimited.",
    ['ulimit'],
    ({ openFilesLimit }) =>
      openFilesLimit === undefined ? [] : [[openFilesLimit, 'max_open_files']],
  ),
  plain(
    'gauge',
    'container_last_seen',
    'When the container was last seen to run, Unix time in seconds.',
    ({ sample }) => sample.timestamp / 1_000_000_000n,
  ),
  plain(
    'gauge',
    'container_start_time_seconds',
    'When the container was started, Unix time in seconds.',
    ({ container }) => container.status.get().startedAt / 1_000_000_000n,
  ),
];

export const specFamilies: readonly Family<Subject>[] = [
  plain(
    'gauge',
    'container_spec_cpu_period',
    'Length of a period of the CPU quota, µs.',
    ({ sample }) => sample.usage.cpuLimit?.period,
  ),
  plain(
    'gauge',
    'container_spec_cpu_quota',
    'CPU time that the container may use in each period, µs; none where it has no quota.',
    ({ sample }) => sample.usage.cpuLimit?.quota,
  ),
  plain(
    'gauge',
    'container_spec_cpu_shares',
    'Weight of the container when it competes for the CPU, on the scale of cgroup v1.',
    ({ sample, container }) => sample.usage.cpuLimit?.shares ?? configuredShares(container),
  ),
  plain(
    'gauge',
    'container_spec_memory_limit_bytes',
    'Memory that the container may use, bytes; 0: as much as there is.',
    ({ sample }) => sample.usage.memoryLimit && (sample.usage.memoryLimit.limit ?? 0n),
  ),
  plain(
    'gauge',
    'container_spec_memory_reservation_limit_bytes',
    'Memory that is left to the container when memory is short, bytes; 0: none in particular.',
    ({ sample }) => sample.usage.memoryLimit && (sample.usage.memoryLimit.reservation ?? 0n),
  ),
  plain(
    'gauge',
    'container_spec_memory_swap_limit_bytes',
    'Memory and swap that the container may use together, bytes; 0: as much as there is.',
    ({ sample }) => sample.usage.swap && (sample.usage.memoryLimit?.withSwap ?? 0n),
  ),
];

/** cgroup v2 keeps a weight from which the shares can't be told. */
function configuredShares({ record, status }: Subject['container']): number | undefined {
  return (status.get().resources ?? record.config.resources)?.cpuShares || undefined;
}
