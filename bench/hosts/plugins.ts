import { join } from 'node:path';
import { timed } from '../stats.ts';
import { bridge, portmap } from './cni-config.ts';
import type { Host } from './host.ts';
import { runProgram } from './run-program.ts';

/**
 * The plugins of cni-config.ts by themselves, one after another with what the one before has found,
 * as a runtime runs them. Each call makes a network namespace, and returns what ADD and DEL take, ms.
 */
export function pluginsAlone(host: Host, cniBin: string) {
  const dir = host.scratch('plugins');
  const list = [{ ...bridge(dir, 0) }, { ...portmap }];
  let count = 0;
  return async (): Promise<{ add: number; del: number }> => {
    count += 1;
    const name = `bench-alone-${count}`;
    await runProgram('ip', ['netns', 'add', name]);
    const plugin = (command: string, config: { type: string }, prevResult?: unknown) => {
      const env = [
        `CNI_COMMAND=${command}`,
        `CNI_CONTAINERID=${name}`,
        `CNI_NETNS=/run/netns/${name}`,
        'CNI_IFNAME=eth0',
        `CNI_PATH=${cniBin}`,
      ];
      const whole = { cniVersion: '0.4.0', name: 'alone', ...config, prevResult };
      return runProgram(join(cniBin, config.type), [], { stdin: JSON.stringify(whole), env });
    };
    try {
      const [add, result] = await timed(async () => {
        let last: unknown;
        for (const config of list) last = JSON.parse(await plugin('ADD', config, last));
        return last;
      });
      const [del] = await timed(async () => {
        for (const config of [...list].reverse()) await plugin('DEL', config, result);
      });
      return { add, del };
    } finally {
      await runProgram('ip', ['netns', 'delete', name]);
    }
  };
}
