import { isPlainObject } from './fields.js';
import type { Sharing } from './options.js';

interface PolicyOptions {
  readonly sharing?: unknown;
  readonly sharedMemoryCache?: unknown;
}

/** An option that cannot stand beside a `sharing`, or would have no effect there. */
interface Misfit {
  readonly option: string;
  readonly sharing: readonly Sharing[];
  isWrong(value: unknown): boolean;
  /** The end of the sentence "x must …". */
  must(sharing: Sharing): string;
  /** It would be ignored. In `defaults`, which are for servers of every kind, that is no mistake. */
  readonly ignored?: true;
}

const MISFITS: readonly Misfit[] = [
  {
    option: 'reuse',
    sharing: ['shared'],
    isWrong: (value) => value === 'never',
    must: () => "be 'tenant' or 'owner' where sharing is 'shared', got 'never'",
  },
  {
    option: 'onCrash',
    sharing: ['dedicated'],
    isWrong: (value) => value === 'restart',
    must: () => "be 'close' where sharing is 'dedicated': only its client knows the state of the lost process",
  },
  {
    option: 'maxSessions',
    sharing: ['exclusive', 'dedicated'],
    isWrong: (value) => value !== undefined,
    must: (sharing) =>
      `not be set where sharing is '${sharing}', where an instance serves one lease at a time; declare sharing: 'shared', or set maxInstances`,
    ignored: true,
  },
  {
    option: 'maxInFlight',
    sharing: ['dedicated'],
    isWrong: (value) => value !== undefined && value !== Infinity,
    must: () =>
      "not be set where sharing is 'dedicated', since messages pass unchanged there; use 'exclusive' or 'shared'",
    ignored: true,
  },
  {
    option: 'retryTools',
    sharing: ['dedicated'],
    isWrong: (value) => value === 'annotated',
    must: () => "be 'never' where sharing is 'dedicated': no call of its client is sent again",
    ignored: true,
  },
];

/** Resolves `auto` and the alias. */
export function sharingOf({ sharing, sharedMemoryCache }: PolicyOptions): Sharing {
  if (sharing === 'shared' || sharing === 'dedicated' || sharing === 'exclusive') return sharing;
  return sharedMemoryCache === true ? 'shared' : 'exclusive';
}

/**
 * The options of a definition: its own, and those of `defaults` that fit them. What the host sets for one server wins over
 * what it sets for all, so a default that contradicts it is left out.
 */
export function inherit(defaults: object, own: object): Record<string, unknown> {
  const merged: Record<string, unknown> = withDefaults(defaults, own);
  const given = own as PolicyOptions & Record<string, unknown>;
  if (given.sharing !== undefined && given.sharedMemoryCache === undefined) delete merged.sharedMemoryCache;
  if (given.sharing === undefined && given.sharedMemoryCache === true) delete merged.sharing;
  const sharing = sharingOf(merged);
  for (const { option, isWrong, sharing: where } of MISFITS) {
    if (given[option] === undefined && where.includes(sharing) && isWrong(merged[option])) delete merged[option];
  }
  return merged;
}

/** What is wrong with the options that one object sets: those of a definition, or `defaults`. The sentence "x must …". */
export function misfitsOf(own: unknown, sharing: Sharing, isDefaults: boolean): string[] {
  if (!isPlainObject(own)) return [];
  const wrong = MISFITS.filter(
    ({ option, ignored, isWrong, sharing: where }) =>
      !(isDefaults && ignored) && where.includes(sharing) && Object.hasOwn(own, option) && isWrong(own[option]),
  ).map(({ option, must }) => `${option} must ${must(sharing)}`);
  if (own.sharedMemoryCache === true && sharing !== 'shared') {
    wrong.push(`sharedMemoryCache must be false where sharing is '${sharing}': it means 'shared'`);
  }
  return wrong;
}

/** Adds missing values from `defaults`. A value of `undefined` means "not given". */
export function withDefaults(defaults: object, given: object): Record<string, unknown> {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(set) };
}
