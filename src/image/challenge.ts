export interface Challenge {
  /** Lower case. */
  scheme: string;
  parameters: Record<string, string>;
}

/** Parses the value of WWW-Authenticate (RFC 9110, section 11.6.1). */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  // A scheme is a token that is followed by a space and no "=".
  const pattern = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?[\s,]*/gy;
  for (const [, name = '', quoted, bare] of header.trim().matchAll(pattern)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? bare;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else {
      const current = challenges.at(-1);
      if (current) current.parameters[name.toLowerCase()] = value;
    }
  }
  return challenges;
}
