/** Block devices: blkio of v1, io of v2. */
import type { Part } from './parts.ts';
import type { CgroupUsage, DeviceIo } from './usage.ts';

const V1_BYTES = 'blkio.throttle.io_service_bytes_recursive';
const V1_COUNTS = 'blkio.throttle.io_serviced_recursive';

export const io: Part = {
  controller: 'blkio',
  v1: {
    // Of the throttling policy: those of schedulers are there only while one is in use.
    files: [V1_BYTES, V1_COUNTS],
    parse: (read) => {
      const devices = new Map<string, DeviceIo>();
      addV1(devices, read(V1_BYTES), { Read: 'readBytes', Write: 'writeBytes' });
      addV1(devices, read(V1_COUNTS), { Read: 'reads', Write: 'writes' });
      return found(devices);
    },
  },
  v2: {
    files: ['io.stat'],
    parse: (read) => {
      const devices = new Map<string, DeviceIo>();
      for (const line of (read('io.stat') ?? '').split('\n')) {
        const [name = '', ...pairs] = line.split(' ');
        const values = new Map(pairs.map((pair) => pair.split('=') as [string, string]));
        const device = values.has('rbytes') ? deviceIo(devices, name) : undefined;
        if (device === undefined) continue;
        device.readBytes = BigInt(values.get('rbytes') ?? 0);
        device.writeBytes = BigInt(values.get('wbytes') ?? 0);
        device.reads = BigInt(values.get('rios') ?? 0);
        device.writes = BigInt(values.get('wios') ?? 0);
      }
      return found(devices);
    },
  },
};

/** Lines as "8:16 Read 65536". */
function addV1(
  devices: Map<string, DeviceIo>,
  text: string | undefined,
  fields: Record<string, 'readBytes' | 'writeBytes' | 'reads' | 'writes'>,
): void {
  for (const line of (text ?? '').split('\n')) {
    const [name = '', operation = '', value = ''] = line.split(' ');
    const field = fields[operation];
    if (field === undefined || !/^\d+$/.test(value)) continue;
    const device = deviceIo(devices, name);
    if (device !== undefined) device[field] = BigInt(value);
  }
}

function deviceIo(devices: Map<string, DeviceIo>, name: string): DeviceIo | undefined {
  const known = devices.get(name);
  if (known !== undefined) return known;
  const [, major, minor] = /^(\d+):(\d+)$/.exec(name) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  const device = { major, minor, readBytes: 0n, writeBytes: 0n, reads: 0n, writes: 0n };
  devices.set(name, device);
  return device;
}

/** A cgroup that has done no I/O yet has no devices. */
function found(devices: Map<string, DeviceIo>): CgroupUsage {
  return { io: [...devices.values()] };
}
