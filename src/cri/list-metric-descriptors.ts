import type { Unary } from './call.ts';
import type { ListMetricDescriptorsRequest, ListMetricDescriptorsResponse } from './gen/cri.ts';
import { metricDescriptors } from './metrics/pod-metrics-message.ts';

/** The same on every host: what one of them lacks has no values there. */
export const listMetricDescriptors: Unary<
  ListMetricDescriptorsRequest,
  ListMetricDescriptorsResponse
> = async () => ({ descriptors: metricDescriptors() });
