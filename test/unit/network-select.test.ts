import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttachRequest, LivePod, PodNetworkProvider } from '../../src/network/index.ts';
import { SelectedNetwork } from '../../src/network/select.ts';

class FakeNetwork implements PodNetworkProvider {
  readonly calls: string[] = [];
  failure: Error | undefined;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }
  async ready() {
    return { ok: true, reason: this.#name };
  }
  async attach({ sandboxId }: AttachRequest) {
    this.calls.push(`attach ${sandboxId}`);
    return { ips: [this.#name], interfaceName: 'eth0', mac: '', gateway: '' };
  }
  async detach(sandboxId: string) {
    this.calls.push(`detach ${sandboxId}`);
    if (this.failure) throw this.failure;
  }
  async recover(live: readonly LivePod[]) {
    this.calls.push(`recover ${live.map((pod) => pod.sandboxId)}`);
    if (this.failure) throw this.failure;
  }
  describe() {
    return { name: this.#name };
  }
  async close() {
    this.calls.push('close');
  }
}

test('new pods go to the current network, and all are asked for old ones', async () => {
  const [now, then] = [new FakeNetwork('now'), new FakeNetwork('then')];
  const network = new SelectedNetwork(now, [then]);
  assert.deepEqual(await network.ready(), { ok: true, reason: 'now' });
  assert.deepEqual(network.describe(), { name: 'now' });
  assert.deepEqual((await network.attach({ sandboxId: 'a' } as AttachRequest)).ips, ['now']);
  await network.recover([{ sandboxId: 'a', ips: [], hostPorts: [] }]);
  await network.detach('b');
  await network.close();
  assert.deepEqual(now.calls, ['attach a', 'recover a', 'detach b', 'close']);
  assert.deepEqual(then.calls, ['recover a', 'detach b', 'close']);
});

test('one that fails keeps no other from its part, and is heard', async () => {
  const [now, then] = [new FakeNetwork('now'), new FakeNetwork('then')];
  const network = new SelectedNetwork(now, [then]);
  now.failure = new Error('DEL');
  await assert.rejects(network.detach('a'), /DEL/);
  await assert.rejects(network.recover([]), /DEL/);
  assert.deepEqual(then.calls, ['detach a', 'recover ']);
});
