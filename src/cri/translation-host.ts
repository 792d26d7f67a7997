import type { RuntimeContext } from '../runtime/context.ts';
import type { TranslationHost } from './translate-sandbox.ts';

export function translationHost(ctx: RuntimeContext): TranslationHost {
  return { report: ctx.host, cgroupDriver: ctx.options.cgroupDriver };
}
