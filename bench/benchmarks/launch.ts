import { setTimeout as sleep } from 'node:timers/promises';
import { type Benchmark, roundsOf } from '../benchmark.ts';
import { type Embedded, openEmbedded } from '../hosts/embedded.ts';
import { ociPeers } from '../hosts/oci.ts';
import { podmanPeer } from '../hosts/podman.ts';
import { millisecondsBetween, Stamps } from '../hosts/stamps.ts';
import { OURS, rowsOf } from '../outcome.ts';
import { type Contestant, interleave, timed } from '../stats.ts';

export const launch: Benchmark = {
  name: 'launch',
  title: 'One container in an existing pod',
  about:
    'By the embedding API: create, start, first instruction, end, removal; and creation and start in ' +
    'one call, run, and the start of a container that was launched ahead 20 ms before. The OCI runtimes get the ' +
    'spec that Coracle made and a root file system that is mounted already, which Coracle mounts each ' +
    'time; podman makes all of its own.',
  run: async (request) => {
    const { host } = request;
    const rounds = roundsOf(request, { full: 60, quick: 15, smallest: 1 });
    const stamps = new Stamps(host.scratch('stamps'));
    await using embedded = await openEmbedded(host);
    await using peers = await ociPeers(host, embedded, stamps);
    await using podman = await podmanPeer(host);
    const contestants = [coracle(embedded, stamps), ...peers.contestants, ...podman.contestants];
    const series = await interleave(contestants, rounds, request.size === 'smallest' ? 0 : 3);
    return {
      rows: rowsOf(series, 'ms'),
      charts: [
        {
          kind: 'bars',
          title: 'A container from nothing to its first instruction, and to its end',
          unit: 'ms',
          whats: [
            'create + start → first instruction',
            'run → first instruction',
            'create + start + exit',
          ],
        },
        {
          kind: 'bars',
          title: 'A created container to its first instruction',
          unit: 'ms',
          whats: [
            'start → first instruction',
            'launched ahead: start → first instruction',
            'start',
          ],
        },
      ],
      notes: [`${rounds} rounds.`, ...peers.notes, ...podman.notes],
    };
  },
};

/** How long one that was launched ahead is left alone: its launch is over then, ms. */
const WAITS = 20;

function coracle({ pod, image }: Embedded, stamps: Stamps): Contestant {
  return {
    name: OURS,
    once: async () => {
      const before = process.hrtime.bigint();
      const [create, container] = await timed(() =>
        pod.createContainer({ image, command: stamps.command(), mounts: [stamps.mount] }),
      );
      const begin = process.hrtime.bigint();
      const [start] = await timed(() => container.start());
      const [exit, { exitCode }] = await timed(() => container.wait());
      if (exitCode !== 0) throw new Error(`the payload ended with ${exitCode}`);
      const whole = create + start + exit;
      const [remove] = await timed(() => container.remove());
      const first = stamps.take();
      const options = { image, command: stamps.command(), mounts: [stamps.mount] };
      const asked = process.hrtime.bigint();
      const [run, another] = await timed(() => pod.run(options));
      await another.wait();
      await another.remove();
      const second = stamps.take();
      const ahead = await pod.createContainer(options, { ahead: {} });
      await sleep(WAITS);
      const woken = process.hrtime.bigint();
      await ahead.start();
      await ahead.wait();
      await ahead.remove();
      return {
        create,
        start,
        run,
        remove,
        'run → first instruction': millisecondsBetween(asked, second),
        'launched ahead: start → first instruction': millisecondsBetween(woken, stamps.take()),
        'create + start + exit': whole,
        'create + start → first instruction': millisecondsBetween(before, first),
        'start → first instruction': millisecondsBetween(begin, first),
      };
    },
  };
}
