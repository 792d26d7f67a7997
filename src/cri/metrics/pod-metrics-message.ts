/** The metrics of pods as CRI messages. */
import type { RuntimeContext } from '../../runtime/context.ts';
import { blockDeviceNames } from '../../runtime/stats/block-devices.ts';
import type { PodDetail } from '../../runtime/stats/pod-detail.ts';
import type { Container } from '../../store/containers.ts';
import type { Sandbox } from '../../store/sandboxes.ts';
import {
  type Metric,
  type MetricDescriptor,
  MetricType,
  type PodSandboxMetrics,
} from '../gen/cri.ts';
import { shownName } from '../image-name.ts';
import { cpuFamilies, pressureFamilies } from './cpu-families.ts';
import { diskFamilies } from './disk-families.ts';
import type { Family, Subject } from './family.ts';
import { hugepageFamilies, memoryFamilies } from './memory-families.ts';
import { networkFamilies } from './network-families.ts';
import { processFamilies, specFamilies } from './process-families.ts';

/** Those that kubelet gives to all of cAdvisor's metrics, by which dashboards find them. */
const LABELS = ['container', 'id', 'image', 'name', 'namespace', 'pod'];

const containerFamilies: readonly Family<Subject>[] = [
  ...cpuFamilies,
  ...memoryFamilies,
  ...hugepageFamilies,
  ...diskFamilies,
  ...processFamilies,
  ...specFamilies,
  ...pressureFamilies,
];

const TYPES = { counter: MetricType.COUNTER, gauge: MetricType.GAUGE } as const;

/** Every metric that there may be, with its help and the names of its labels, in their order. */
export function metricDescriptors(): MetricDescriptor[] {
  return [...containerFamilies, ...networkFamilies].map(({ name, help, labels }) => ({
    name,
    help,
    labelKeys: [...LABELS, ...labels],
  }));
}

export function podMetricsMessages(
  ctx: RuntimeContext,
  details: readonly PodDetail[],
): PodSandboxMetrics[] {
  const deviceName = blockDeviceNames();
  return details.map(({ sandbox, interfaces, containers }) => ({
    podSandboxId: sandbox.record.id,
    metrics: metrics(networkFamilies, interfaces ?? [], podLabels(sandbox)),
    containerMetrics: containers.map((detail) => ({
      containerId: detail.container.record.id,
      metrics: metrics(
        containerFamilies,
        { ...detail, deviceName },
        containerLabels(ctx, sandbox, detail.container),
      ),
    })),
  }));
}

function metrics<S>(
  families: readonly Family<S>[],
  subject: S,
  common: readonly string[],
): Metric[] {
  return families.flatMap((family) =>
    family.values(subject).map(([value, ...labels]) => ({
      name: family.name,
      // 0 says that it is of now.
      timestamp: 0n,
      metricType: TYPES[family.type],
      labelValues: [...common, ...labels],
      value: { value: BigInt(value) },
    })),
  );
}

function podLabels({ record }: Sandbox): string[] {
  const { id, cgroupPath, config } = record;
  return ['', cgroupPath, '', id, config.namespace, config.name];
}

function containerLabels(ctx: RuntimeContext, sandbox: Sandbox, container: Container): string[] {
  const { id, cgroupPath, config, imageId } = container.record;
  const image = ctx.images.status(imageId);
  const shown = config.userSpecifiedImage ?? config.image;
  const { namespace, name } = sandbox.record.config;
  return [
    config.name,
    cgroupPath,
    image ? (shownName(image, shown) ?? shown) : shown,
    id,
    namespace,
    name,
  ];
}
