import type { Unary } from './call.ts';
import { CgroupDriver, type RuntimeConfigRequest, type RuntimeConfigResponse } from './gen/cri.ts';

const DRIVERS = { systemd: CgroupDriver.SYSTEMD, cgroupfs: CgroupDriver.CGROUPFS } as const;

/** Kubelet takes its cgroup driver from here when it starts. */
export const runtimeConfig: Unary<RuntimeConfigRequest, RuntimeConfigResponse> = async (ctx) => ({
  linux: { cgroupDriver: DRIVERS[ctx.options.cgroupDriver] },
});
