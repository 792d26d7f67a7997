import { parseArgs } from 'node:util';

export interface Options {
  seed: number;
  /** How long pods are begun; 0 with `kills`. */
  minutes: number;
  /** Kills of the server, with a fleet of `containers` that log all the while. */
  kills: number;
  containers: number;
  /** Pods at the same time. */
  pods: number;
  network: 'embedded' | 'cni';
  /** Failpoints are armed in some lives of the server. */
  faults: boolean;
  /** Where the trace goes; without it, it is kept only where something is wrong. */
  trace?: string;
  replay?: string;
}

const FLAGS = {
  minutes: { type: 'string' },
  seed: { type: 'string' },
  kills: { type: 'string' },
  containers: { type: 'string' },
  pods: { type: 'string' },
  network: { type: 'string' },
  faults: { type: 'boolean' },
  trace: { type: 'string' },
  replay: { type: 'string' },
} as const;

export const USAGE = `npm run torture -- [--minutes N] [--seed S] [--pods P] [--network embedded|cni]
                  [--faults] [--trace FILE] | --kills K [--containers C] … | --replay FILE`;

/** Throws Error with what is wrong with the arguments. */
export function parseOptions(argv: string[], recorded: (trace: string) => object): Options {
  const { values } = parseArgs({ args: argv, options: FLAGS });
  const number = (name: keyof typeof values, otherwise: number) => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (!Number.isFinite(value) || value < 0)
      throw new Error(`--${name} ${values[name]}: no number`);
    return value;
  };
  const kills = number('kills', 0);
  const network = values.network ?? 'embedded';
  if (network !== 'embedded' && network !== 'cni') throw new Error(`--network ${network}: unknown`);
  return {
    seed: number('seed', Date.now() % 1_000_000),
    minutes: number('minutes', kills > 0 ? 0 : 2),
    kills,
    containers: number('containers', 50),
    pods: number('pods', 5),
    network,
    faults: values.faults ?? false,
    ...(values.replay !== undefined && recorded(values.replay)),
    ...(values.replay !== undefined && { replay: values.replay }),
    ...(values.trace !== undefined && { trace: values.trace }),
  };
}
