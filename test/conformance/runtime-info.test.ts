/** What the runtime says of itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conformanceSuite } from '../helpers/conformance.ts';

const suite = conformanceSuite();

test('Version names the runtime, its version and the API', async () => {
  const version = await suite.client.version({ version: '0.1.0' });
  assert.equal(version.version, '0.1.0');
  assert.equal(version.runtimeName, 'coracle');
  assert.match(version.runtimeVersion, /^\d+\.\d+\.\d+/);
  assert.equal(version.runtimeApiVersion, 'v1');
});

test('Status says that runtime and network are ready, and what the default handler can do', async () => {
  const { status, runtimeHandlers, info } = await suite.client.status({});
  const ready = status?.conditions.filter((each) => each.status).map((each) => each.type);
  assert.deepEqual(ready?.sort(), ['NetworkReady', 'RuntimeReady']);
  assert.ok(runtimeHandlers.find(({ name }) => name === '')?.features);
  assert.deepEqual(info, {});
});

test('Status in detail adds the configuration', async () => {
  const { info } = await suite.client.status({ verbose: true });
  assert.equal(JSON.parse(info.config ?? '{}').root, suite.server.root);
});
