import { randomBytes } from 'node:crypto';
import { makeBusyboxLayout, makeTar, writeLayout } from '../../scripts/busybox-image.mjs';
import { serveLayout } from '../../test/helpers/layout-registry.ts';
import { type Benchmark, roundsOf } from '../benchmark.ts';
import { openCriServers } from '../hosts/cri.ts';
import type { Host } from '../hosts/host.ts';
import { rowsOf } from '../outcome.ts';
import { type Contestant, interleave, timed } from '../stats.ts';

const SMALL = 'pull of a small image';
const LARGE = 'pull of a large image';

export const pull: Benchmark = {
  name: 'pull',
  title: 'Pulls',
  about:
    'PullImage from a registry of this process, on the loopback interface: a small image of one ' +
    'layer, and a large one of four layers, gzipped, half of whose bytes do not compress.',
  run: async (request) => {
    const { host, size } = request;
    const rounds = roundsOf(request, { full: 10, quick: 3, smallest: 1 });
    const megabytes = { full: 64, quick: 16, smallest: 1 }[size];
    await using small = await serveLayout(smallImage(host));
    await using large = await serveLayout(largeImage(host, megabytes));
    await using opened = await openCriServers(host, 'host');
    const contestants: Contestant[] = opened.servers.map(({ name, client }) => ({
      name,
      once: async () => {
        const pulled = async (registry: string) => {
          const image = { image: `${registry}/bench/image:1` };
          const [ms] = await timed(() => client.pullImage({ image }));
          await client.removeImage({ image });
          return ms;
        };
        return { [SMALL]: await pulled(small.host), [LARGE]: await pulled(large.host) };
      },
    }));
    const series = await interleave(contestants, rounds, size === 'smallest' ? 0 : 1);
    return {
      rows: rowsOf(series, 'ms'),
      charts: [{ kind: 'bars', title: 'Pulls', unit: 'ms', whats: [SMALL, LARGE] }],
      notes: [`${rounds} rounds; the large image has 4 × ${megabytes} MB.`, ...opened.notes],
    };
  },
};

/** Has no layer of the image that all servers have. */
function smallImage(host: Host): string {
  const layout = host.scratch('small');
  makeBusyboxLayout(layout, { name: 'bench.local/small:1', files: { 'etc/small': 'small' } });
  return layout;
}

/** Files of 64 KB, by turns random and alike. */
function largeImage(host: Host, megabytes: number): string {
  const layout = host.scratch('large');
  const layers = Array.from({ length: 4 }, (_, layer) =>
    makeTar([
      { name: `layer-${layer}/`, type: 'dir' },
      ...Array.from({ length: megabytes * 16 }, (_, file) => ({
        name: `layer-${layer}/${file}`,
        data: file % 2 === 0 ? randomBytes(62_500) : Buffer.alloc(62_500, `${file} `),
      })),
    ]),
  );
  writeLayout(layout, { name: 'bench.local/large:1', layers });
  return layout;
}
