import { PlainDisplay } from './plain-display.ts';
import type { DisplayStream, PullDisplay } from './pull-display.ts';
import { TerminalDisplay } from './terminal-display.ts';

export function isLive(stream: DisplayStream, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY && env.TERM !== 'dumb';
}

/** Shows a pull: live on a terminal, else in lines. */
export function showPull(stream: DisplayStream, env: NodeJS.ProcessEnv): PullDisplay {
  return isLive(stream, env) ? new TerminalDisplay(stream) : new PlainDisplay(stream);
}
