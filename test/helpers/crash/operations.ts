import assert from 'node:assert/strict';
import { type Look, Refused } from './doomed-server.ts';
import { isSecondImage, release, type Scene, type World } from './world.ts';

/** Something that a server can be killed in the middle of. */
export interface Operation {
  readonly name: string;
  prepare(world: World): Promise<Scene>;
  /** Does it, or does it again after a crash; returns what was asked for. */
  act(world: World, scene: Scene): Promise<unknown>;
  /** Asserts that what a crash and a restart have left is one of what may be. */
  found(look: Look, scene: Scene, world: World): void;
  /** Asserts that it is done, after the retry. */
  done(look: Look, scene: Scene, answer: unknown, world: World): void;
}

async function scene(world: World, network: 'pod' | 'none', make: Making): Promise<Scene> {
  const fifo = make === 'awaiting' ? await world.makeFifo() : '';
  const podConfig = world.podConfig(network);
  const containerConfig = world.containerConfig(fifo);
  const result: Scene = { pod: '', container: '', podConfig, containerConfig, fifo };
  if (make === 'nothing') return result;
  result.pod = await world.server.ask('runPod', podConfig);
  if (make === 'pod') return result;
  result.container = await world.server.ask('create', result.pod, containerConfig);
  if (make === 'launched') await world.server.ask('embryo', result.container);
  else if (make !== 'created') await world.server.ask('start', result.container);
  return result;
}

/**
 * How far a scene has come: `launched` is created, with its process launched ahead; `awaiting` runs,
 * and ends when its FIFO is let go.
 */
type Making = 'nothing' | 'pod' | 'created' | 'launched' | 'running' | 'awaiting';

const podOf = (look: Look, { pod, podConfig }: Scene) =>
  look.pods.find(({ id, name }) => id === pod || name.startsWith(`${podConfig.name}_`));

const containerOf = (look: Look, { container, containerConfig }: Scene) =>
  look.containers.find(
    ({ id, name }) => id === container || name.startsWith(`${containerConfig.name}_`),
  );

function oneOf(state: string | undefined, ...allowed: string[]): void {
  assert.ok(allowed.includes(state ?? 'absent'), `it is ${state}, not ${allowed.join(' or ')}`);
}

/** An end has the code of what ended it, whoever was told, and when. */
function endedBy(look: Look, scene: Scene, code: number): void {
  const container = containerOf(look, scene);
  if (container?.state === 'exited') assert.equal(container.exitCode, code, container.reason);
}

/** What is found and done of an operation that ends a container, with this exit code. */
function ends(code: number): Pick<Operation, 'found' | 'done'> {
  return {
    found(look, scene) {
      oneOf(containerOf(look, scene)?.state, 'running', 'exited');
      endedBy(look, scene, code);
    },
    done(look, scene) {
      oneOf(containerOf(look, scene)?.state, 'exited');
      endedBy(look, scene, code);
    },
  };
}

const runPod: Operation = {
  name: 'run pod',
  prepare: (world) => scene(world, 'pod', 'nothing'),
  act: (world, { podConfig }) => world.server.ask('runPod', podConfig),
  found(look, scene) {
    const pod = podOf(look, scene);
    oneOf(pod?.state, 'absent', 'ready');
    if (pod) scene.made = pod.id;
  },
  done(look, scene, id) {
    if (scene.made) assert.equal(id, scene.made, 'the retry is told what was made');
    const mine = look.pods.filter(({ name }) => name.startsWith(`${scene.podConfig.name}_`));
    assert.deepEqual(
      mine.map((pod) => [pod.id, pod.state]),
      [[id, 'ready']],
    );
  },
};

const create: Operation = {
  name: 'create',
  prepare: (world) => scene(world, 'none', 'pod'),
  act: (world, { pod, containerConfig }) => world.server.ask('create', pod, containerConfig),
  found(look, scene) {
    const container = containerOf(look, scene);
    oneOf(container?.state, 'absent', 'created');
    if (container) scene.made = container.id;
  },
  done(look, scene, id) {
    if (scene.made) assert.equal(id, scene.made, 'the retry is told what was made');
    const mine = look.containers.filter(({ podId }) => podId === scene.pod);
    assert.deepEqual(
      mine.map((container) => [container.id, container.state]),
      [[id, 'created']],
    );
  },
};

const start: Operation = {
  name: 'start',
  prepare: (world) => scene(world, 'none', 'created'),
  async act(world, { container }) {
    try {
      return await world.server.ask('start', container);
    } catch (error) {
      // Whoever tries again is told that it runs already.
      if (!(error instanceof Refused) || !error.message.endsWith('is in running state'))
        throw error;
      return undefined;
    }
  },
  found: (look, scene) => oneOf(containerOf(look, scene)?.state, 'created', 'running'),
  done(look, scene, pid) {
    const container = containerOf(look, scene);
    oneOf(container?.state, 'running');
    if (pid !== undefined) assert.equal(container?.pid, pid);
  },
};

const launchAhead: Operation = {
  name: 'launch ahead',
  prepare: (world) => scene(world, 'none', 'created'),
  act: (world, { container }) => world.server.ask('embryo', container),
  found: (look, scene) => oneOf(containerOf(look, scene)?.state, 'created'),
  done: (look, scene) => oneOf(containerOf(look, scene)?.state, 'created'),
};

/** The process that was launched ahead goes with the server that knew of it. */
const wake: Operation = {
  ...start,
  name: 'wake',
  prepare: (world) => scene(world, 'none', 'launched'),
};

const removeLaunched: Operation = {
  name: 'remove, launched ahead',
  prepare: (world) => scene(world, 'none', 'launched'),
  act: (world, { container }) => world.server.ask('remove', container),
  found: (look, scene) => oneOf(containerOf(look, scene)?.state, 'created', 'absent'),
  done: (look, scene) => oneOf(containerOf(look, scene)?.state, 'absent'),
};

const exec: Operation = {
  name: 'exec',
  prepare: (world) => scene(world, 'none', 'running'),
  act: (world, { container }) => world.server.ask('exec', container, ['echo', 'hello']),
  found: (look, scene) => oneOf(containerOf(look, scene)?.state, 'running'),
  done(look, scene, answer) {
    assert.deepEqual(answer, { stdout: 'hello\n', exitCode: 0 });
    oneOf(containerOf(look, scene)?.state, 'running');
    assert.equal(containerOf(look, scene)?.processes.length, 1, 'nothing is left of the command');
  },
};

const exit: Operation = {
  name: 'exit',
  prepare: (world) => scene(world, 'none', 'awaiting'),
  async act(world, scene) {
    // Once: it ends by itself, whether or not somebody watches.
    if (scene.fifo !== '') assert.ok(await release(scene.fifo), 'it waits for its end');
    scene.fifo = '';
    await world.server.ask('exited', scene.container);
  },
  ...ends(7),
};

const stop: Operation = {
  name: 'stop',
  prepare: (world) => scene(world, 'none', 'running'),
  act: (world, { container }) => world.server.ask('stop', container, 0),
  ...ends(137),
};

const remove: Operation = {
  name: 'remove',
  prepare: (world) => scene(world, 'none', 'running'),
  act: (world, { container }) => world.server.ask('remove', container),
  found(look, scene) {
    oneOf(containerOf(look, scene)?.state, 'running', 'exited', 'absent');
    endedBy(look, scene, 137);
  },
  done: (look, scene) => oneOf(containerOf(look, scene)?.state, 'absent'),
};

const update: Operation = {
  name: 'update',
  prepare: (world) => scene(world, 'none', 'running'),
  act: (world, { container }) => world.server.ask('update', container, { memoryLimit: 64 << 20 }),
  found(look, scene) {
    const container = containerOf(look, scene);
    oneOf(container?.state, 'running');
    const limit = container?.kernelMemoryLimit ?? 0;
    if (container?.memoryLimit === undefined) assert.ok(limit > 64 << 20, `its limit is ${limit}`);
    else assert.deepEqual([container.memoryLimit, limit], [64 << 20, 64 << 20]);
  },
  done(look, scene) {
    const container = containerOf(look, scene);
    assert.equal(container?.memoryLimit, 64 << 20);
    assert.equal(container?.kernelMemoryLimit, 64 << 20);
  },
};

const stopPod: Operation = {
  name: 'stop pod',
  prepare: (world) => scene(world, 'pod', 'running'),
  act: (world, { pod }) => world.server.ask('stopPod', pod),
  found(look, scene) {
    oneOf(podOf(look, scene)?.state, 'ready', 'notReady');
    oneOf(containerOf(look, scene)?.state, 'running', 'exited');
    endedBy(look, scene, 137);
  },
  done(look, scene) {
    oneOf(podOf(look, scene)?.state, 'notReady');
    oneOf(containerOf(look, scene)?.state, 'exited');
    endedBy(look, scene, 137);
    assert.ok(![...look.addresses, ...look.attachments].includes(scene.pod), 'it has no network');
  },
};

const removePod: Operation = {
  name: 'remove pod',
  prepare: (world) => scene(world, 'pod', 'running'),
  act: (world, { pod }) => world.server.ask('removePod', pod),
  found(look, scene) {
    oneOf(podOf(look, scene)?.state, 'ready', 'notReady', 'absent');
    oneOf(containerOf(look, scene)?.state, 'running', 'exited', 'absent');
    endedBy(look, scene, 137);
  },
  done(look, scene) {
    oneOf(podOf(look, scene)?.state, 'absent');
    oneOf(containerOf(look, scene)?.state, 'absent');
  },
};

/** What is shown of the second image is all of it. */
function wholeOrAbsent(look: Look, _scene: Scene, world: World): void {
  const second = look.images.filter(({ layers }) => layers.length === 2);
  for (const { layers } of second) assert.ok(isSecondImage(world, layers), 'its layers are whole');
}

function whole(look: Look, scene: Scene, world: World): void {
  assert.equal(look.images.length, 2, 'it is there');
  wholeOrAbsent(look, scene, world);
}

const importImage: Operation = {
  name: 'import image',
  prepare: (world) => scene(world, 'none', 'nothing'),
  act: (world) => world.server.ask('import', world.secondLayout),
  found: wholeOrAbsent,
  done: (look, scene, _answer, world) => whole(look, scene, world),
};

const pullImage: Operation = {
  ...importImage,
  name: 'pull image',
  act: (world) => world.server.ask('pull', world.pulled),
};

const removeImage: Operation = {
  name: 'remove image',
  async prepare(world) {
    await world.server.ask('import', world.secondLayout);
    return scene(world, 'none', 'nothing');
  },
  act: (world) => world.server.ask('removeImage', 'test.local/second:1'),
  found: wholeOrAbsent,
  done: (look) => assert.equal(look.images.length, 1, 'it is gone'),
};

/** Those that a network has a part in, with that of CNI. */
export const cniOperations: readonly Operation[] = [runPod, stopPod, removePod].map(
  (operation) => ({ ...operation, name: `${operation.name}, CNI` }),
);

export const operations: readonly Operation[] = [
  ...[runPod, create, start, launchAhead, wake, removeLaunched, exec, exit, stop, remove],
  ...[update, stopPod, removePod],
  ...[importImage, pullImage, removeImage],
];
