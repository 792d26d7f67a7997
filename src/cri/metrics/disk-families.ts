import type { DeviceIo } from '../../runtime/stats/usage.ts';
import { type Family, labelled, type Subject, type Value } from './family.ts';

const PREFIX = 'container_fs_';

export const diskFamilies: readonly Family<Subject>[] = [
  onDisk('usage_bytes', 'What the writable layer takes of its disk, bytes, as last measured.', {
    of: ({ layer }) => layer?.bytes,
  }),
  onDisk('limit_bytes', 'Size of the file system that the writable layer is on, bytes.', {
    of: ({ disk }) => disk.size,
  }),
  onDisk('inodes_total', 'Inodes of the file system that the writable layer is on.', {
    of: ({ disk }) => disk.inodes?.total,
  }),
  onDisk('inodes_free', 'Free inodes of the file system that the writable layer is on.', {
    of: ({ disk }) => disk.inodes?.free,
  }),
  perDevice('reads_bytes_total', 'Read from the device, bytes.', 'readBytes'),
  perDevice('reads_total', 'Requests that read from the device.', 'reads'),
  perDevice('writes_bytes_total', 'Written to the device, bytes.', 'writeBytes'),
  perDevice('writes_total', 'Requests that wrote to the device.', 'writes'),
  labelled(
    'counter',
    'container_blkio_device_usage_total',
    'Read from the device and written to it, bytes.',
    ['device', 'major', 'minor', 'operation'],
    ({ sample, deviceName }) =>
      (sample.usage.io ?? []).flatMap(({ major, minor, readBytes, writeBytes }): Value[] => {
        const device = deviceName(major, minor);
        return [
          [readBytes, device, major, minor, 'Read'],
          [writeBytes, device, major, minor, 'Write'],
        ];
      }),
  ),
];

function onDisk(
  name: string,
  help: string,
  { of }: { of: (subject: Subject) => bigint | number | undefined },
): Family<Subject> {
  return labelled('gauge', `${PREFIX}${name}`, help, ['device'], (subject) => {
    const value = of(subject);
    return value === undefined ? [] : [[value, subject.disk.device]];
  });
}

function perDevice(
  name: string,
  help: string,
  field: 'readBytes' | 'writeBytes' | 'reads' | 'writes',
): Family<Subject> {
  return labelled(
    'counter',
    `${PREFIX}${name}`,
    `${help} Only of devices that the container has used.`,
    ['device'],
    ({ sample, deviceName }) =>
      (sample.usage.io ?? []).map((io: DeviceIo) => [io[field], deviceName(io.major, io.minor)]),
  );
}
