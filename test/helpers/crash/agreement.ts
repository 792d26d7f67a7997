import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EntryStatus } from '../../../src/native/types.ts';
import type { Look, LookedContainer, LookedPod } from './doomed-server.ts';
import type { World } from './world.ts';

/**
 * What the runtime says against what the kernel and the directories have, at a moment when nobody
 * is at work. Whole sentences; none where all agrees.
 */
export async function disagreements(world: World, look: Look): Promise<string[]> {
  const { pods, containers } = look;
  const ids = new Set(pods.map(({ id }) => id));
  const found = [
    ...look.problems.map((each) => `the record ${each} cannot be read`),
    ...(look.dirty > 0 ? [`${look.dirty} records are not written`] : []),
    ...pods.flatMap((pod) => ofPod(look, pod)),
    ...containers.flatMap((container) => ofContainer(look, container)),
    ...strangers(look.addresses, ids, 'an address is held for'),
    ...strangers(look.attachments, ids, 'a CNI network is held for'),
    ...strangers(
      await world.heldByPlugins(),
      new Set(look.attachments),
      'a plugin holds what is of',
    ),
    ...strangers(names(world, 'state/pods'), ids, 'there is a directory of'),
    ...strangers(names(world, 'root/pods'), ids, 'there are files of'),
    ...strangers(
      names(world, 'root/containers'),
      new Set(containers.map(({ id }) => id)),
      'there is a writable layer of',
    ),
  ];
  const { bystander } = world;
  const neighbour = containers.find(({ id }) => id === bystander.container);
  if (neighbour?.state !== 'running' || neighbour.pid !== bystander.pid) {
    found.push(`a container of another pod is ${neighbour?.state ?? 'gone'}`);
  }
  return found;
}

function ofPod(look: Look, pod: LookedPod): string[] {
  const found: string[] = [];
  const what = `pod ${pod.name}`;
  if (pod.state === 'ready') {
    if (!isMonitor(pod.monitorPid, pod.id)) found.push(`${what} is ready and has no monitor`);
    if (pod.entries === undefined) found.push(`${what} is ready and nobody speaks to its monitor`);
    if (pod.networked && pod.ips.length === 0) found.push(`${what} is ready and has no address`);
  } else if (isMonitor(pod.monitorPid, pod.id)) {
    found.push(`${what} is not ready and has a monitor`);
  }
  for (const entry of pod.entries ?? []) {
    const { id, state, exec } = entry;
    const container = look.containers.find((each) => each.id === id);
    if (isEmbryo(entry) && container?.state === 'created') continue;
    if (exec || !container) found.push(`${what} has a process of nobody's, ${state}`);
    else if (state !== container.state) {
      found.push(`${container.name} is ${container.state}, for its monitor ${state}`);
    }
  }
  return found;
}

function ofContainer(look: Look, container: LookedContainer): string[] {
  const { id, name, podId, state, pid, processes, updating } = container;
  const found: string[] = [];
  const pod = look.pods.find((each) => each.id === podId);
  if (!pod) found.push(`${name} has no pod`);
  if (updating) found.push(`an update of ${name} is not over`);
  switch (state) {
    case 'running':
      if (pod?.state !== 'ready') found.push(`${name} is running in a pod that is not ready`);
      if (!processes.includes(pid)) found.push(`${name} is running and has no process ${pid}`);
      break;
    case 'created':
    case 'exited':
      if (state === 'created' && pod?.entries?.some((entry) => isEmbryo(entry, id))) break;
      if (processes.length > 0) found.push(`${name} is ${state} and has processes ${processes}`);
      if (pid !== 0) found.push(`${name} is ${state} and has pid ${pid}`);
      break;
    case 'unknown':
      found.push(`${name} is unknown`);
  }
  return found;
}

/** A process that waits for a start, and has run nothing. */
const isEmbryo = (entry: EntryStatus, id = entry.id) =>
  entry.id === id && entry.state === 'parked' && !entry.exec;

function strangers(found: string[], known: Set<string>, what: string): string[] {
  return found.filter((id) => !known.has(id)).map((id) => `${what} ${id}, which has no record`);
}

function names(world: World, place: string): string[] {
  const dir = join(world.server.dir, place);
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** Whether a process is the monitor of a pod. */
export function isMonitor(pid: number, podId: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(podId);
  } catch {
    return false;
  }
}
