import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { capabilityNames } from '../spec/capabilities.ts';
import type { Arch, HostFacts } from '../spec/host.ts';
import type { CgroupLayout } from './cgroup/index.ts';
import type { HostReport } from './doctor.ts';
import { hostDevices } from './resolve-devices.ts';

/** Gathers what the pure functions of `spec/` need to know of the machine. */
export async function readHostFacts(report: HostReport, layout: CgroupLayout): Promise<HostFacts> {
  const status = await readFile('/proc/self/status', 'utf8');
  const permitted = /^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return {
    arch: process.arch as Arch,
    hostname: hostname(),
    kernel: [...report.kernel],
    cgroup: layout.mode,
    capabilities: capabilityNames(BigInt(`0x${permitted}`)),
    devices: await hostDevices('/dev'),
  };
}
