import * as v from 'valibot';
import { LOG_LEVELS } from '../observe/logger.ts';
import { parseAddress } from '../streaming/address.ts';

/** NUL ends a path where the kernel reads it. */
const isPath = (text: string) => text.startsWith('/') && !text.includes('\0');

const isAddress = (text: string) => text !== '' && !text.includes('\0');

const directory = v.pipe(v.string(), v.check(isPath, 'must be an absolute path'));
const file = directory;

const tcpAddress = v.pipe(
  v.string(),
  v.check((text) => {
    try {
      parseAddress(text);
      return true;
    } catch {
      return false;
    }
  }, 'is not a HOST:PORT'),
);

/** The longest content of a CRI log line that is not split; kubelet and others read 16 KiB. */
const maxLogLine = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1024 * 1024));

/** Anything setTimeout takes; longer than that, it would fire at once. */
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 31 - 1));

/** One or more, joined by colons as in PATH. */
const directories = v.pipe(
  v.string(),
  v.check((list) => list.split(':').every(isPath), 'must be absolute paths, joined by colons'),
);

const subnet = v.pipe(v.string(), v.regex(/^[0-9a-fA-F.:]+\/\d+$/, 'is not a subnet'));

/** "none": of IPv4, for pods that have IPv6 alone. */
const subnet4 = v.pipe(
  v.string(),
  v.regex(/^(none|[0-9a-fA-F.:]+\/\d+)$/, 'is not a subnet, nor "none"'),
);

/** IFNAMSIZ of linux/if.h is 16, with the closing NUL. */
const linkName = v.pipe(v.string(), v.regex(/^[^\s/:]{1,15}$/, 'is not the name of a link'));

/**
 * The configuration file's keys, which are the flags' names. Everything is optional: what is given
 * on the command line wins over the file, and the file over the defaults.
 */
export const settingsSchema = v.strictObject({
  listen: v.exactOptional(v.pipe(v.string(), v.check(isAddress, 'must be a path'))),
  root: v.exactOptional(directory),
  state: v.exactOptional(directory),
  'cgroup-driver': v.exactOptional(v.picklist(['cgroupfs', 'systemd'])),
  'log-level': v.exactOptional(v.picklist(LOG_LEVELS)),
  'max-log-line': v.exactOptional(maxLogLine),
  'exec-drain-timeout-ms': v.exactOptional(milliseconds),
  'stream-address': v.exactOptional(tcpAddress),
  'stream-tls-cert': v.exactOptional(file),
  'stream-tls-key': v.exactOptional(file),
  'stream-idle-timeout-ms': v.exactOptional(milliseconds),
  'metrics-address': v.exactOptional(tcpAddress),
  'network-bridge': v.exactOptional(linkName),
  'network-subnet': v.exactOptional(subnet4),
  'network-subnet6': v.exactOptional(subnet),
  'cni-conf-dir': v.exactOptional(directory),
  'cni-bin-dir': v.exactOptional(directories),
  'cni-timeout-ms': v.exactOptional(v.pipe(milliseconds, v.minValue(1))),
  'registry-config-dir': v.exactOptional(directories),
  'pull-progress-timeout-ms': v.exactOptional(milliseconds),
  'max-concurrent-downloads': v.exactOptional(
    v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)),
  ),
  'pinned-images': v.exactOptional(v.array(v.pipe(v.string(), v.nonEmpty()))),
});

export type GivenSettings = v.InferOutput<typeof settingsSchema>;
export type SettingName = keyof GivenSettings;
