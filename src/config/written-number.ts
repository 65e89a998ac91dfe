/** A longer string is no number with a unit. */
const LONGEST = 20;

/** What one of each unit is, in the unit of the option. */
const UNITS = {
  milliseconds: { '': 1, ms: 1, s: 1_000, sec: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 },
  megabytes: { '': 1, m: 1, mb: 1, mib: 1, g: 1_024, gb: 1_024, gib: 1_024, k: 1 / 1_024, kb: 1 / 1_024 },
  percent: { '': 1, '%': 1 },
  plain: { '': 1 },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The unit of an option. */
export type Unit = keyof typeof UNITS;

/**
 * What to write instead of a string that stands in place of a number, such as '5s' or '512MB'; empty when it is no number. It
 * shows the number alone: any other string may be secret.
 */
export function numberInstead(value: unknown, unit: Unit): string {
  if (typeof value !== 'string' || value.length > LONGEST) return '';
  if (value.trim().toLowerCase() === 'infinity') return '; write Infinity without quotes';
  const [, digits, name = ''] = /^\s*(\d[\d_]*(?:\.\d+)?)\s*([a-z%]*)\s*$/i.exec(value) ?? [];
  const units: Readonly<Record<string, number>> = UNITS[unit];
  const factor = Object.hasOwn(units, name.toLowerCase()) ? units[name.toLowerCase()] : undefined;
  if (digits === undefined || factor === undefined) return '';
  return `; write ${inCode(Number(digits.replaceAll('_', '')) * factor)}`;
}

/** A number as it is written in code: `5_000`. */
export function inCode(value: number): string {
  const [whole = '', part] = String(Number(value.toFixed(3))).split('.');
  const grouped = whole.replace(/\d(?=(?:\d{3})+$)/g, '$&_');
  return part === undefined ? grouped : `${grouped}.${part}`;
}
