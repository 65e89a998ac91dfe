/** `suspected`: it has grown for two windows. `confirmed`: for three, and it does not slow down. */
export type LeakVerdict = 'none' | ToldVerdict;
/** One that has an event. */
type ToldVerdict = 'suspected' | 'confirmed';

/** What the floors of an instance show. */
export type LeakEvidence =
  /** They rise through all of two windows. */
  | 'rising'
  /** They rise through all of three windows, and not slower than before. */
  | 'sustained'
  /** They did not rise in the last window. */
  | 'settled'
  /** None of these. */
  | 'unclear'
  /** What was known is dropped: there was a pause, or the clock was set. */
  | 'interrupted';

/** Verdict × evidence. Evidence that is not listed changes nothing. Noise may hide that it rises, until it is clear. */
export const TRANSITIONS: Readonly<Record<LeakVerdict, Partial<Record<LeakEvidence, LeakVerdict>>>> = {
  none: { rising: 'suspected', sustained: 'confirmed' },
  suspected: { sustained: 'confirmed', settled: 'none', interrupted: 'none' },
  confirmed: { settled: 'none', interrupted: 'none' },
};

export function nextVerdict(verdict: LeakVerdict, evidence: LeakEvidence): LeakVerdict {
  return TRANSITIONS[verdict][evidence] ?? verdict;
}

/** The events for a change: a leak is suspected before it is confirmed, also where one look shows both. */
const TOLD: Readonly<Record<LeakVerdict, Record<LeakVerdict, readonly ToldVerdict[]>>> = {
  none: { none: [], suspected: ['suspected'], confirmed: ['suspected', 'confirmed'] },
  suspected: { none: [], suspected: [], confirmed: ['confirmed'] },
  confirmed: { none: [], suspected: [], confirmed: [] },
};

export function toldOf(before: LeakVerdict, now: LeakVerdict): readonly ToldVerdict[] {
  return TOLD[before][now];
}
