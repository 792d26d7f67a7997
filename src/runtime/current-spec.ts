import type { LinuxResources } from '../spec/config.ts';
import type { Spec } from '../spec/oci.ts';
import { containerResources, oomScoreAdj } from '../spec/resources.ts';
import type { ContainerRecord } from '../store/types.ts';

/** A container's specification with the limits that updates have set since. */
export function currentSpec(
  record: Pick<ContainerRecord, 'spec'>,
  updated: LinuxResources | undefined,
): Spec {
  const { spec } = record;
  if (!updated) return spec;
  const { devices } = spec.linux.resources;
  return {
    ...spec,
    process: { ...spec.process, oomScoreAdj: oomScoreAdj(updated) },
    linux: {
      ...spec.linux,
      resources: { ...(devices && { devices }), ...containerResources(updated) },
    },
  };
}
