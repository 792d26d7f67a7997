import { invalid, quote } from '../errors.ts';
import type { Bandwidth } from './index.ts';

/** Annotations of Kubernetes' bandwidth shaping; their values are quantities in bits per second. */
const INGRESS = 'kubernetes.io/ingress-bandwidth';
const EGRESS = 'kubernetes.io/egress-bandwidth';

/** What Kubernetes takes: 1k to 1P bits per second. */
const MIN = 1_000n;
const MAX = 1_000_000_000_000_000n;

/** Suffixes of a Kubernetes quantity. */
const SCALES: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: 10n ** 3n,
  M: 10n ** 6n,
  G: 10n ** 9n,
  T: 10n ** 12n,
  P: 10n ** 15n,
  E: 10n ** 18n,
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n,
};

/** Fractions of one: "1500000m". */
const FRACTIONS: Readonly<Record<string, bigint>> = { m: 10n ** 3n, u: 10n ** 6n, n: 10n ** 9n };

/**
 * The limits that a pod's annotations ask for. Pure.
 *
 * @throws InvalidArgument naming the annotation whose value is no quantity between 1k and 1P.
 */
export function podBandwidth(annotations: Readonly<Record<string, string>>): Bandwidth {
  const ingress = limit(INGRESS, annotations[INGRESS]);
  const egress = limit(EGRESS, annotations[EGRESS]);
  return {
    ...(ingress !== undefined && { ingress }),
    ...(egress !== undefined && { egress }),
  };
}

function limit(annotation: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = parseQuantity(text);
  const field = `annotations[${quote(annotation)}]`;
  if (value === undefined) throw invalid(field, text, 'is not a quantity such as "10M"');
  if (value < MIN || value > MAX) {
    throw invalid(field, text, 'is not between 1k and 1P bits per second');
  }
  return Number(value);
}

/**
 * A quantity of the Kubernetes API (apimachinery, "resource.Quantity"), rounded up to a whole
 * number: "10M", "1.5Gi", "2e6", "1500m". Undefined where the text is none.
 */
export function parseQuantity(text: string): bigint | undefined {
  const match =
    /^([+-]?)(?=\.?\d)(\d{0,30})(?:\.(\d{0,30}))?(?:([numkMGTPE]|[KMGTPE]i)?|[eE]([+-]?\d{1,2}))$/.exec(
      text,
    );
  if (!match) return undefined;
  const [, sign, whole = '', decimals = '', suffix = '', exponent = '0'] = match;
  const power = Number(exponent);
  const up = (SCALES[suffix] ?? 1n) * 10n ** BigInt(Math.max(power, 0));
  const down = (FRACTIONS[suffix] ?? 1n) * 10n ** BigInt(Math.max(-power, 0) + decimals.length);
  const scaled = BigInt(`${whole}${decimals}`) * up;
  const magnitude = (scaled + down - 1n) / down;
  return sign === '-' ? -magnitude : magnitude;
}
