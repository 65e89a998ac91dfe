import { quoted } from '../runtime/quoted.js';
import { ALERT_KINDS, ALERT_SEVERITIES, type AlertFigure } from './alert.js';
import {
  describeValue,
  type Field,
  type Given,
  isPlainObject,
  nested,
  oneOf,
  optionalString,
  type Resolved,
} from './fields.js';
import { deadline } from './number-fields.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import { snapshot } from './snapshot.js';

/** More is no text for a person, in characters. */
const LONGEST_TEXT = 1_000;
/** The most that `data` may take as JSON, in characters. */
const LONGEST_DATA = 4_096;

const subjectFields = {
  /** Of the server. Default: none, it is about the whole pool. */
  name: optionalString(),
  /**
   * What of it, if parts have alerts of their own, such as limits or folders. An alert with it is not pool-wide. Default: none.
   */
  part: optionalString(),
};

const conditionFields = {
  /** What it is about. Required. */
  kind: { ...oneOf(ALERT_KINDS[0], ...ALERT_KINDS), required: true as const },
  /** What has it. One kind and subject is one alert. Default: `{}`, the whole pool. */
  subject: nested(subjectFields),
  /**
   * Which of several that can have it, such as an instance of the server: the condition holds as long as one has it. The empty
   * string is a source, too, and is not shown. Default: `''` of a report; of a condition that is over: all that have it.
   */
  source: source(),
};

const reportFields = {
  ...conditionFields,
  /** How much it matters. Required. */
  severity: { ...oneOf(ALERT_SEVERITIES[0], ...ALERT_SEVERITIES), required: true as const },
  /** What is wrong, in words; of a longer text the first 1,000 characters count. Required. */
  message: { ...text<string>(''), required: true as const },
  /** What to do about it, in the same way. Default: none. */
  action: text<string | undefined>(undefined),
  /**
   * Figures by name: strings, numbers, booleans, null, and arrays of the first two; at most 4,096 characters as JSON.
   * Default: `{}`.
   */
  data: figures(),
  /**
   * How long one report counts, in milliseconds: for what is a single event, such as a crash. Default: none, until `resolve()`.
   */
  lasts: deadline(Infinity),
};

/** A condition that holds now, for `alerts.raise()`. */
export type AlertReport = Given<typeof reportFields>;
/** A condition that is over, for `alerts.resolve()`. Without a source it is over for all of them. */
export type AlertCondition = Given<typeof conditionFields>;

interface WithSubject {
  readonly subject: Resolved<typeof subjectFields>;
}
export interface ResolvedReport extends Omit<Resolved<typeof reportFields>, 'subject' | 'data'>, WithSubject {
  readonly data: Readonly<Record<string, AlertFigure>>;
}
export type ResolvedCondition = Omit<Resolved<typeof conditionFields>, 'subject'> & WithSubject;

/** @throws PoolError `INVALID_OPTIONS` that lists every problem */
export function resolveReport(given: AlertReport): ResolvedReport {
  const what = 'the argument of alerts.raise()';
  const problems: Problems = { wrong: [], unsupported: [] };
  const report = readOptions(reportFields, snapshot(given, what), '', problems);
  const subject = readOptions(subjectFields, report.subject, 'subject', problems);
  refuse(problems, what);
  return {
    ...report,
    subject,
    message: quoted(report.message, LONGEST_TEXT),
    action: quoted(report.action ?? '', LONGEST_TEXT),
    // A copy, without what JSON does not write.
    data: JSON.parse(JSON.stringify(report.data)),
  };
}

/** @throws PoolError `INVALID_OPTIONS` that lists every problem */
export function resolveCondition(given: AlertCondition): ResolvedCondition {
  const what = 'the argument of alerts.resolve()';
  const problems: Problems = { wrong: [], unsupported: [] };
  const condition = readOptions(conditionFields, snapshot(given, what), '', problems);
  const subject = readOptions(subjectFields, condition.subject, 'subject', problems);
  refuse(problems, what);
  return { ...condition, subject };
}

function source(): Field<string | undefined> {
  return {
    default: undefined,
    check: (value) => (typeof value === 'string' ? undefined : `a string, got ${describeValue(value)}`),
  };
}

/** For persons: what is no text for them is shown as codes. */
function text<T extends string | undefined>(fallback: T): Field<T> {
  return {
    default: fallback,
    check(value) {
      if (typeof value !== 'string') return `a string, got ${describeValue(value)}`;
      return value.trim() === '' ? 'a string that is not empty' : undefined;
    },
  };
}

function figures(): Field<Readonly<Record<string, AlertFigure | undefined>>> {
  const what = 'an object of strings, numbers, booleans, null, and arrays of strings and numbers';
  return {
    default: {},
    check(value) {
      if (!isPlainObject(value)) return `${what}, got ${describeValue(value)}`;
      const wrong = Object.entries(value).find(([, item]) => item !== undefined && !isFigure(item));
      if (wrong !== undefined) return `${what}; the entry '${wrong[0]}' is ${describeValue(wrong[1])}`;
      const { length } = JSON.stringify(value);
      return length > LONGEST_DATA
        ? `an object that takes at most ${LONGEST_DATA} characters as JSON, got ${length}`
        : undefined;
    },
  };
}

function isFigure(value: unknown): value is AlertFigure {
  if (Array.isArray(value)) return value.every((item) => typeof item === 'string' || typeof item === 'number');
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
