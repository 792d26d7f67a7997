import { invalid } from '../errors.ts';

/** The one handler, and the empty name that means it too. */
export const RUNTIME_HANDLERS = ['', 'native'] as const;

export function checkRuntimeHandler(field: string, name: string): string {
  if (!(RUNTIME_HANDLERS as readonly string[]).includes(name)) {
    throw invalid(field, name, 'is no runtime handler that is configured (have "", "native")');
  }
  return name;
}
