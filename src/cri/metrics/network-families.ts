import type { InterfaceUsage } from '../../runtime/stats/interfaces.ts';
import { type Family, labelled } from './family.ts';

/** The interfaces of a pod's own network namespace. */
export const networkFamilies: readonly Family<readonly InterfaceUsage[]>[] = [
  perInterface('receive_bytes_total', 'Received, bytes.', 'rxBytes'),
  perInterface('receive_packets_total', 'Packets received.', 'rxPackets'),
  perInterface('receive_errors_total', 'Packets that were received damaged.', 'rxErrors'),
  perInterface(
    'receive_packets_dropped_total',
    'Packets that were received and dropped.',
    'rxDropped',
  ),
  perInterface('transmit_bytes_total', 'Sent, bytes.', 'txBytes'),
  perInterface('transmit_packets_total', 'Packets sent.', 'txPackets'),
  perInterface('transmit_errors_total', 'Packets that could not be sent.', 'txErrors'),
  perInterface(
    'transmit_packets_dropped_total',
    'Packets that were dropped before they were sent.',
    'txDropped',
  ),
];

function perInterface(
  name: string,
  help: string,
  field: Exclude<keyof InterfaceUsage, 'name'>,
): Family<readonly InterfaceUsage[]> {
  return labelled(
    'counter',
    `container_network_${name}`,
    `${help} Of a pod's own interfaces; none for pods of the host's network.`,
    ['interface'],
    (interfaces) => interfaces.map((each) => [each[field], each.name]),
  );
}
