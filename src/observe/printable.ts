/**
 * What a terminal obeys instead of showing it, but for tab and newline: the control characters of
 * ECMA-48, C0 and C1, and those that turn the direction of a line (Unicode's "Bidi_Control").
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are the subject
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text with such characters spelled out, as "\u001b": names and messages come from images,
 * registries and containers, and are read in terminals. JSON stays JSON with the same meaning.
 */
export function printable(text: string): string {
  return text.replace(CONTROLS, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
