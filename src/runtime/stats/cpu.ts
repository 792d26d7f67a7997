/** CPU time: cpuacct and cpu of v1, cpu of v2. */
import { flatKeyed, single } from './parse.ts';
import type { Part } from './parts.ts';
import type { CgroupUsage, CpuLimit, CpuTime } from './usage.ts';

/** What a new cgroup has on v2, and the shares on v1 that mean the same. */
const DEFAULT_WEIGHT = 100n;
const DEFAULT_SHARES = 1024n;

export const cpuTime: Part = {
  controller: 'cpuacct',
  core: true,
  v1: {
    files: ['cpuacct.usage'],
    parse: (read) => {
      const total = single(read('cpuacct.usage'));
      return total === undefined ? {} : { cpu: { total } };
    },
  },
  v2: {
    files: ['cpu.stat'],
    parse: (read) => {
      const stat = flatKeyed(read('cpu.stat'));
      const total = stat?.find('usage_usec');
      if (stat === undefined || total === undefined) return {};
      const cpu: CpuTime = { total: total * 1000n };
      const user = stat.find('user_usec');
      const system = stat.find('system_usec');
      if (user !== undefined) cpu.user = user * 1000n;
      if (system !== undefined) cpu.system = system * 1000n;
      const usage: CgroupUsage = { cpu };
      // Only where the cgroup has the cpu controller.
      const periods = stat.find('nr_periods');
      if (periods !== undefined) {
        usage.throttling = {
          periods,
          throttledPeriods: stat.get('nr_throttled'),
          throttled: stat.get('throttled_usec') * 1000n,
        };
      }
      return usage;
    },
  },
};

/** On v2 `cpuTime` has it. */
export const cpuTimeDetail: Part = {
  controller: 'cpuacct',
  v1: {
    // From Linux 4.9.
    files: ['cpuacct.usage', 'cpuacct.usage_user', 'cpuacct.usage_sys'],
    parse: (read) => {
      const total = single(read('cpuacct.usage'));
      const user = single(read('cpuacct.usage_user'));
      const system = single(read('cpuacct.usage_sys'));
      if (total === undefined) return {};
      return {
        cpu: {
          total,
          ...(user !== undefined && { user }),
          ...(system !== undefined && { system }),
        },
      };
    },
  },
};

export const cpuLimit: Part = {
  controller: 'cpu',
  v1: {
    files: ['cpu.stat', 'cpu.shares', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'],
    parse: (read) => {
      const stat = flatKeyed(read('cpu.stat'));
      const usage: CgroupUsage = {};
      if (stat !== undefined) {
        usage.throttling = {
          periods: stat.get('nr_periods'),
          throttledPeriods: stat.get('nr_throttled'),
          throttled: stat.get('throttled_time'),
        };
      }
      // −1, for no limit, is no number to `single`.
      return withLimit(usage, {
        shares: single(read('cpu.shares')),
        quota: single(read('cpu.cfs_quota_us')),
        period: single(read('cpu.cfs_period_us')),
      });
    },
  },
  v2: {
    files: ['cpu.max', 'cpu.weight'],
    parse: (read) => {
      const [quota, period] = (read('cpu.max') ?? '').trim().split(' ');
      // Another weight may stand for several numbers of shares.
      const isDefault = single(read('cpu.weight')) === DEFAULT_WEIGHT;
      return withLimit(
        {},
        {
          shares: isDefault ? DEFAULT_SHARES : undefined,
          quota: single(quota),
          period: single(period),
        },
      );
    },
  },
};

function withLimit(
  usage: CgroupUsage,
  given: { [Key in keyof CpuLimit]: bigint | undefined },
): CgroupUsage {
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  return known.length === 0 ? usage : { ...usage, cpuLimit: Object.fromEntries(known) };
}
