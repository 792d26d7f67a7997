/** A pod's name, its resolver and the ways into it. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { NamespaceMode } from '../../src/cri/gen/cri.ts';
import { conformanceSuite, eventually } from '../helpers/conformance.ts';

const suite = conformanceSuite();

const serve = (port: number) => [
  'sh',
  '-c',
  `mkdir /www; echo page >/www/index.html; exec httpd -f -p ${port} -h /www`,
];
const page = (url: string) =>
  eventually(`a page from ${url}`, async () => (await fetch(url).catch(() => undefined))?.text());
const address = async (podSandboxId: string) =>
  (await suite.client.podSandboxStatus({ podSandboxId })).status?.network?.ip;

test('the resolver is the configured one', async () => {
  const pod = await suite.pod({
    dnsConfig: { servers: ['10.10.10.10'], searches: ['google.com'], options: ['ndots:8'] },
  });
  const lines = (await suite.shell(await pod.run(), 'cat /etc/resolv.conf')).split('\n');
  assert.deepEqual(lines.sort(), [
    'nameserver 10.10.10.10',
    'options ndots:8',
    'search google.com',
  ]);
});

test('the host name is the configured one', async () => {
  const pod = await suite.pod({ hostname: 'test-hostname' });
  const id = await pod.run();
  assert.equal(await suite.shell(id, 'hostname'), 'test-hostname');
  assert.equal(await suite.shell(id, 'cat /etc/hostname'), 'test-hostname');
});

test('a container port is reached at the address of the pod', async () => {
  const pod = await suite.pod({ portMappings: [{ containerPort: 80 }] });
  await pod.run({ command: serve(80) });
  assert.equal(await page(`http://${await address(pod.id)}:80/`), 'page\n');
});

test('a host port leads to the container, and ends with the pod', async () => {
  const pod = await suite.pod({ portMappings: [{ containerPort: 80, hostPort: 12000 }] });
  await pod.run({ command: serve(80) });
  assert.equal(await page('http://127.0.0.1:12000/'), 'page\n');
  await suite.client.stopPodSandbox({ podSandboxId: pod.id });
  await assert.rejects(fetch('http://127.0.0.1:12000/'));
});

test('pods reach each other, and each has the port to itself', async () => {
  const [one, two] = [await suite.pod(), await suite.pod()];
  const ids = [await one.run({ command: serve(80) }), await two.run({ command: serve(80) })];
  await page(`http://${await address(two.id)}/`);
  const found = await suite.shell(ids[0] ?? '', `wget -q -O - http://${await address(two.id)}/`);
  assert.equal(found, 'page');
});

test("a pod in the host's network has the host's name, and no address of its own", async () => {
  const namespaceOptions = { network: NamespaceMode.NODE };
  const pod = await suite.pod({ linux: { securityContext: { namespaceOptions } } });
  const id = await pod.run({
    command: serve(12003),
    linux: { securityContext: { namespaceOptions } },
  });
  assert.equal(await page('http://127.0.0.1:12003/'), 'page\n');
  assert.equal(await suite.shell(id, 'hostname'), hostname());
  assert.equal(await address(pod.id), '');
});
