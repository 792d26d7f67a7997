/** Sends one bad request, and says what is wrong with how it was taken. */
import { status as Code } from '@grpc/grpc-js';
import { CreateContainerResponse, RunPodSandboxResponse } from '../../../src/cri/gen/cri.ts';
import { encode } from './encode.ts';
import type { Answer } from './raw-client.ts';
import { type BadRequest, last } from './requests.ts';
import { messages, type Place } from './schema.ts';
import type { HostileWorld } from './world.ts';

/** Calls that never end by themselves, or as late as the world outside wants. */
const ENDLESS = /^(GetContainerEvents|Pull\w+)$/;
/** Calls that may rightly take as long as their request says. */
const WAITING = /^(StopContainer|ExecSync)$/;
/** Calls that would leave something if they failed half-way. */
const MAKING = /^(Run|Create|Update|Import|Exec|Attach|Reopen|Port|Checkpoint|Restore)/;
/** No call takes a fraction of it, on however busy a machine. */
const DEADLINE_MS = 20_000;
const SHORT_MS = 300;

const OWN_FAULTS = [Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS];
const OVER = [Code.DEADLINE_EXCEEDED, Code.CANCELLED];

/** Throws with the whole story where a promise is broken. */
export async function judge(world: HostileWorld, bad: BadRequest): Promise<Answer> {
  const { rpc } = bad;
  await world.ensure();
  const before = MAKING.test(rpc.name) ? await world.observe() : undefined;
  const request = encode(rpc.request, world.resolve(bad.request));
  const waits = ENDLESS.test(rpc.name) || (bad.changed.length > 0 && WAITING.test(rpc.name));
  const answer = await world.raw.call(rpc, request, waits ? SHORT_MS : DEADLINE_MS);
  const fail = (what: string, more: unknown = '') => {
    const where = bad.changed.map((place) => place.map(({ name }) => name).join('.')).join(' and ');
    const said = `${Code[answer.code]}: ${answer.details.slice(0, 600)}`;
    const shown = JSON.stringify(more, null, 1);
    const sent = JSON.stringify(bad.request, (_, value) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
    const story = [`${rpc.name} (${where}): ${what}`, said, shown, sent];
    throw new Error(story.join('\n').slice(0, 4000));
  };
  const logged = world.errorsLogged();
  if (OWN_FAULTS.includes(answer.code) && !isDamage(rpc.name, answer.code)) {
    fail('the server takes the fault for its own', logged);
  }
  if (logged.length > 0) fail('the log has an error', logged);
  if (OVER.includes(answer.code) && !waits && !rpc.stream) fail('no answer in time');
  const [only, ...others] = bad.changed;
  if (answer.code === Code.INVALID_ARGUMENT && only && others.length === 0) {
    if (!names(answer.details, only)) fail('the answer does not name the field');
  }
  if (answer.code === Code.OK) await putToUse(world, bad, answer);
  else if (before && !OVER.includes(answer.code)) {
    const left = await world.difference(before);
    if (Object.keys(left).length > 0) fail('a call that failed has left something', left);
  }
  return answer;
}

/** An archive that is damaged is no fault of the server's, and is told as what it is. */
function isDamage(rpc: string, code: Code): boolean {
  return rpc === 'ImportImage' && code === Code.DATA_LOSS;
}

/** All fields that there are, in no spelling in particular. */
const FIELDS = new Set([...messages.values()].flat().map(({ key }) => key.toLowerCase()));

/**
 * A refusal names the field, or one that it is part of or made of, in one spelling or another; or,
 * where two do not go together, the other one.
 */
function names(details: string, place: Place): boolean {
  // What cannot be decoded has no fields.
  if (details.startsWith('request: at byte ')) return true;
  const plain = details.toLowerCase().replace(/[_ ]/g, '');
  const { key, type } = last(place);
  const words = [key, key.replace(/^pod/, ''), type, ...place.slice(0, -1).map((each) => each.key)];
  const begin = /^(?:[a-z]+\.)*([a-z]+)(?:\[.*?\])?:/.exec(plain)?.[1] ?? '';
  return FIELDS.has(begin) || words.some((word) => plain.includes(word.toLowerCase()));
}

/** What was accepted has to work, or to say why not, and to go away again. */
async function putToUse(world: HostileWorld, { rpc }: BadRequest, answer: Answer): Promise<void> {
  const { client } = world.server;
  const bytes = answer.messages[0] ?? Buffer.alloc(0);
  if (rpc.name === 'RunPodSandbox') {
    const { podSandboxId } = RunPodSandboxResponse.decode(bytes);
    await client.podSandboxStatus({ podSandboxId, verbose: true });
    await client.podSandboxStats({ podSandboxId });
    await client.removePodSandbox({ podSandboxId });
  } else if (rpc.name === 'CreateContainer') {
    const { containerId } = CreateContainerResponse.decode(bytes);
    await client.containerStatus({ containerId, verbose: true });
    await client.startContainer({ containerId }, { deadlineMs: DEADLINE_MS }).catch(rightly);
    await client.containerStatus({ containerId, verbose: true });
    await client.listContainerStats({});
    await client.stopContainer({ containerId, timeout: 0n }, { deadlineMs: DEADLINE_MS });
    await client.removeContainer({ containerId });
  } else if (/^Update(Container|Pod)/.test(rpc.name)) await world.renew();
}

function rightly(error: unknown): void {
  const { code } = error as { code: Code };
  if (OWN_FAULTS.includes(code) || code === Code.DEADLINE_EXCEEDED) throw error;
}
