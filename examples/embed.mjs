// Runs one container from an image archive: node embed.mjs IMAGE.tar|OCI-DIR [COMMAND…]
// In TypeScript, or with Node 24, `await using` takes the place of the finally blocks.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Runtime } from 'coracle';

const [archive, ...command] = process.argv.slice(2);
const dir = await mkdtemp(join(tmpdir(), 'coracle-example-'));
const runtime = await Runtime.open({ root: join(dir, 'root'), state: join(dir, 'state') });

try {
  const [image] = await runtime.images.import(archive);
  const pod = await runtime.runPod({ namespaces: { network: 'none' } });
  const container = await pod.createContainer({
    image,
    command: command.length > 0 ? command : ['echo', 'hello from a container'],
    resources: { memoryLimit: 64 * 1024 * 1024, pidsLimit: 32 },
  });
  await container.start({ stdout: 'pipe' });
  process.stdout.write(await text(container.stdout));
  const { exitCode } = await container.wait();
  console.log(`exit code ${exitCode}`);
} finally {
  // Attached pods, the default, are removed with everything in them.
  await runtime.close();
  await rm(dir, { recursive: true, force: true });
}
