/** What pods and containers use, as CRI messages. */
import type { ContainerStats as ContainerUsage } from '../runtime/stats/container-stats.ts';
import { defaultInterface, type InterfaceUsage } from '../runtime/stats/interfaces.ts';
import type { PodStats } from '../runtime/stats/pod-stats.ts';
import type { Pressure, PressureLine } from '../runtime/stats/usage.ts';
import type { CgroupSample } from '../runtime/stats/usage-reader.ts';
import type { LayerUsage } from '../runtime/stats/writable-layers.ts';
import { containerMessage } from './container-status-message.ts';
import type {
  ContainerStats,
  CpuUsage,
  FilesystemUsage,
  IoUsage,
  MemoryUsage,
  NetworkInterfaceUsage,
  NetworkUsage,
  PodSandboxStats,
  PsiData,
  PsiStats,
  SwapUsage,
  UInt64Value,
} from './gen/cri.ts';
import { sandboxMessage } from './sandbox-status-message.ts';

/** Of a container that does not run, only its writable layer. `root` is the runtime's own. */
export function containerStatsMessage(stats: ContainerUsage, root: string): ContainerStats {
  const { id, metadata, labels, annotations } = containerMessage(stats.container);
  const { sample, layer } = stats;
  return {
    attributes: { id, metadata, labels, annotations },
    cpu: sample && cpuMessage(sample),
    memory: sample && memoryMessage(sample),
    writableLayer: layer && layerMessage(layer, root),
    swap: sample && swapMessage(sample),
    io: sample && ioMessage(sample),
  };
}

export function podStatsMessage(stats: PodStats, root: string): PodSandboxStats {
  const { id, metadata, labels, annotations } = sandboxMessage(stats.sandbox);
  const { sample, interfaces, processes } = stats;
  const { timestamp } = sample;
  return {
    attributes: { id, metadata, labels, annotations },
    linux: {
      cpu: cpuMessage(sample),
      memory: memoryMessage(sample),
      network: interfaces && networkMessage(interfaces, timestamp),
      process:
        processes === undefined
          ? undefined
          : { timestamp, processCount: { value: BigInt(processes) } },
      containers: stats.containers.map((each) => containerStatsMessage(each, root)),
      io: ioMessage(sample),
    },
    windows: undefined,
  };
}

export function layerMessage(layer: LayerUsage, root: string): FilesystemUsage {
  return {
    timestamp: layer.timestamp,
    fsId: { mountpoint: root },
    usedBytes: { value: BigInt(layer.bytes) },
    inodesUsed: { value: BigInt(layer.inodes) },
  };
}

function cpuMessage({ timestamp, usage, nanoCores }: CgroupSample): CpuUsage | undefined {
  if (usage.cpu === undefined) return undefined;
  return {
    timestamp,
    usageCoreNanoSeconds: { value: usage.cpu.total },
    usageNanoCores: value(nanoCores),
    psi: psiMessage(usage.pressure?.cpu),
  };
}

function memoryMessage({ timestamp, usage }: CgroupSample): MemoryUsage | undefined {
  const { memory } = usage;
  if (memory === undefined) return undefined;
  const { limit, workingSet } = memory;
  return {
    timestamp,
    workingSetBytes: { value: workingSet },
    availableBytes: value(limit === undefined ? undefined : difference(limit, workingSet)),
    usageBytes: { value: memory.usage },
    rssBytes: { value: memory.rss },
    // The kernel counts the major ones in, the CRI wants the minor ones.
    pageFaults: { value: difference(memory.pageFaults, memory.majorPageFaults) },
    majorPageFaults: { value: memory.majorPageFaults },
    psi: psiMessage(usage.pressure?.memory),
  };
}

function swapMessage({ timestamp, usage: { swap } }: CgroupSample): SwapUsage | undefined {
  if (swap === undefined) return undefined;
  const available = swap.limit === undefined ? undefined : difference(swap.limit, swap.usage);
  return {
    timestamp,
    swapAvailableBytes: value(available),
    swapUsageBytes: { value: swap.usage },
  };
}

/** There is nothing but the pressure in it. */
function ioMessage({ timestamp, usage }: CgroupSample): IoUsage | undefined {
  const psi = psiMessage(usage.pressure?.io);
  return psi && { timestamp, psi };
}

function networkMessage(interfaces: readonly InterfaceUsage[], timestamp: bigint): NetworkUsage {
  const first = defaultInterface(interfaces);
  return {
    timestamp,
    defaultInterface: first && interfaceMessage(first),
    interfaces: interfaces.filter((each) => each !== first).map(interfaceMessage),
  };
}

function interfaceMessage(usage: InterfaceUsage): NetworkInterfaceUsage {
  return {
    name: usage.name,
    rxBytes: { value: usage.rxBytes },
    rxErrors: { value: usage.rxErrors },
    txBytes: { value: usage.txBytes },
    txErrors: { value: usage.txErrors },
  };
}

function psiMessage(pressure: Pressure | undefined): PsiStats | undefined {
  return pressure && { Full: psiData(pressure.full), Some: psiData(pressure.some) };
}

function psiData(line: PressureLine | undefined): PsiData | undefined {
  return line && { Total: line.total, Avg10: line.avg10, Avg60: line.avg60, Avg300: line.avg300 };
}

function value(number: bigint | undefined): UInt64Value | undefined {
  return number === undefined ? undefined : { value: number };
}

function difference(from: bigint, what: bigint): bigint {
  return from > what ? from - what : 0n;
}
