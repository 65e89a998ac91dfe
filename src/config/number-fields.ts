import { describeValue, type Field, type JsonSchema } from './fields.js';
import { inCode, numberInstead, type Unit } from './written-number.js';

const UNITS_NAMED = ['milliseconds', 'megabytes', 'percent'] as const;

/**
 * A number.
 * @param what the end of the sentence "x must be …"; it names the unit
 * @param range the numbers for which `isValid` holds, as a JSON Schema, which knows no `Infinity`
 * @param instead what to write in place of a number that is not valid; empty when that is not known
 */
export function numeric(
  fallback: number,
  what: string,
  range: JsonSchema,
  isValid: (value: number) => boolean,
  instead: (value: number) => string = () => '',
): Field<number> {
  const unit: Unit = UNITS_NAMED.find((name) => what.includes(name)) ?? 'plain';
  return {
    default: fallback,
    check(value) {
      if (typeof value !== 'number') return `${what}, got ${describeValue(value)}${numberInstead(value, unit)}`;
      return isValid(value) ? undefined : `${what}, got ${value}${instead(value)}`;
    },
    schema: 'anyOf' in range ? range : { type: 'number', ...range },
  };
}

/** A duration in milliseconds; `Infinity` means never. */
export const duration = (fallback: number) =>
  numeric(fallback, 'a number of milliseconds, 0 or more', { minimum: 0 }, (value) => value >= 0);

/** A time in milliseconds after which an operation fails. It must end, so it is above 0 and finite. */
export const deadline = (fallback: number) =>
  numeric(
    fallback,
    'a finite number of milliseconds above 0',
    { exclusiveMinimum: 0 },
    (value) => value > 0 && Number.isFinite(value),
  );

/** A time in milliseconds, `least` or more. A value below that was most likely meant in seconds. */
export const noShorter = (fallback: number, least: number) =>
  numeric(
    fallback,
    `a finite number of milliseconds, ${inWords(least)} or more`,
    { minimum: least },
    (value) => value >= least && Number.isFinite(value),
    inSeconds,
  );

/** The same, or 0, or `Infinity`. */
export const zeroOrNoShorter = (fallback: number, least: number) =>
  numeric(
    fallback,
    `a number of milliseconds, 0, or ${inWords(least)} or more`,
    { anyOf: [{ const: 0 }, { type: 'number', minimum: least }] },
    (value) => value === 0 || value >= least,
    inSeconds,
  );

/** The same, or `Infinity`. */
export const noShorterOrNever = (fallback: number, least: number) =>
  numeric(
    fallback,
    `a number of milliseconds, ${inWords(least)} or more, or Infinity`,
    { minimum: least },
    (value) => value >= least,
    inSeconds,
  );

function inSeconds(value: number): string {
  return value > 0 && Number.isFinite(value) ? `; if these are seconds, write ${inCode(value * 1_000)}` : '';
}

/** A whole number, `least` or more; `Infinity` only with `unlimited`. */
export const count = (fallback: number, least: number, unlimited?: 'unlimited') =>
  numeric(
    fallback,
    `a whole number, ${least} or more${unlimited ? ', or Infinity' : ''}`,
    { type: 'integer', minimum: least },
    (value) => value >= least && (Number.isInteger(value) || (unlimited !== undefined && value === Infinity)),
  );

/** A share of one CPU core, in percent; more than 100 is more than one core. */
export const percent = (fallback: number, least: number) =>
  numeric(
    fallback,
    `a finite number of percent, ${least} or more`,
    { minimum: least },
    (value) => value >= least && Number.isFinite(value),
    inPercent,
  );

/** A least share of all that happens, in percent. 100 would leave nothing that may fail: one failure would be too many for ever. */
export const percentOfAll = (fallback: number) =>
  numeric(
    fallback,
    'a number of percent, 1 or more and below 100',
    { minimum: 1, exclusiveMaximum: 100 },
    (value) => value >= 1 && value < 100,
    inPercent,
  );

/** A share that may fail, in percent. */
export const percentThatMayFail = (fallback: number) =>
  numeric(
    fallback,
    'a number of percent above 0, at most 100',
    { exclusiveMinimum: 0, maximum: 100 },
    (value) => value > 0 && value <= 100,
  );

/** A share of a limit, in percent: more than 100 would be after it. */
export const shareOfLimit = (fallback: number) =>
  numeric(
    fallback,
    'a number of percent from 1 to 100',
    { minimum: 1, maximum: 100 },
    (value) => value >= 1 && value <= 100,
    inPercent,
  );

function inPercent(value: number): string {
  return value > 0 && value < 1 ? `; if this is a share of 1, write ${inCode(value * 100)}` : '';
}

/** A size in MB (1,048,576 bytes), above 0. */
export const megabytes = (fallback: number, most = Number.MAX_SAFE_INTEGER) =>
  numeric(
    fallback,
    `a finite number of megabytes above 0${most < Number.MAX_SAFE_INTEGER ? `, at most ${inWords(most)}` : ''}`,
    { exclusiveMinimum: 0, ...(most < Number.MAX_SAFE_INTEGER ? { maximum: most } : {}) },
    (value) => value > 0 && value <= most,
    (value) => inMegabytes(value, most),
  );

/** A size in MB (1,048,576 bytes), 0 included. */
export const megabytesOrZero = (fallback: number) =>
  numeric(
    fallback,
    'a finite number of megabytes, 0 or more',
    { minimum: 0 },
    (value) => value >= 0 && Number.isFinite(value),
  );

/** More megabytes than any machine has: most likely they are bytes. */
export const MOST_MEMORY_MB = 10_000_000;

/** A size in MB (1,048,576 bytes), above 0; `Infinity`: no limit. */
export const megabytesOrUnlimited = (fallback: number) =>
  numeric(
    fallback,
    `a number of megabytes above 0, at most ${inWords(MOST_MEMORY_MB)}, or Infinity`,
    { exclusiveMinimum: 0, maximum: MOST_MEMORY_MB },
    (value) => value > 0 && (value <= MOST_MEMORY_MB || value === Infinity),
    (value) => inMegabytes(value, MOST_MEMORY_MB),
  );

function inMegabytes(value: number, most: number): string {
  return value > most && Number.isFinite(value) ? `; if these are bytes, write ${inCode(value / 1_048_576)}` : '';
}

function inWords(value: number): string {
  return value.toLocaleString('en-US');
}

/** A share of one CPU core, in percent; `Infinity`: no limit. */
export const percentOrUnlimited = () =>
  numeric(Infinity, 'a number of percent, 1 or more, or Infinity', { minimum: 1 }, (value) => value >= 1, inPercent);
