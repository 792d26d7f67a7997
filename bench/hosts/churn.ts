/** Clients that create and remove containers until SIGTERM: SOCKET CLIENTS POD… */
import { criClient } from '../../src/cri/client.ts';
import { containerConfig, podConfig } from './cri.ts';

const [, , socket = '', clients = '1', ...pods] = process.argv;
/** Of this process: the names of containers that an earlier one made may still be taken. */
const prefix = `churn-${process.pid}`;
let going = true;
process.on('SIGTERM', () => {
  going = false;
});

let begun = 0;
async function churn(number: number): Promise<void> {
  const client = criClient(socket);
  const index = number % pods.length;
  const podSandboxId = pods[index] ?? '';
  const sandboxConfig = podConfig('status', index, 'host');
  for (let count = 0; going; count += 1) {
    const config = containerConfig(`${prefix}-${number}-${count}`);
    const { containerId } = await client.createContainer({ podSandboxId, sandboxConfig, config });
    await client.removeContainer({ containerId });
    if (count === 0) begun += 1;
    if (count === 0 && begun === Number(clients)) console.log('all have begun');
  }
  client.close();
}

await Promise.all(Array.from({ length: Number(clients) }, (_, number) => churn(number)));
