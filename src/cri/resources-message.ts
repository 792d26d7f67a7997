import type { LinuxResources } from '../spec/config.ts';
import { LinuxContainerResources } from './gen/cri.ts';

/** The limits in force as a CRI message, where zero and empty mean "not given". */
export function resourcesMessage(resources: LinuxResources): LinuxContainerResources {
  return LinuxContainerResources.fromPartial({
    cpuPeriod: BigInt(resources.cpuPeriod ?? 0),
    cpuQuota: BigInt(resources.cpuQuota ?? 0),
    cpuShares: BigInt(resources.cpuShares ?? 0),
    memoryLimitInBytes: BigInt(resources.memoryLimit ?? 0),
    memorySwapLimitInBytes: BigInt(resources.memorySwapLimit ?? 0),
    oomScoreAdj: BigInt(resources.oomScoreAdj ?? 0),
    cpusetCpus: resources.cpusetCpus ?? '',
    cpusetMems: resources.cpusetMems ?? '',
    hugepageLimits: (resources.hugepageLimits ?? []).map(({ pageSize, limit }) => ({
      pageSize,
      limit: BigInt(limit),
    })),
    unified: resources.unified ?? {},
  });
}
