import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { AlertManager, MCPServerPool } from '../../src/index.js';

const notify = () => {};

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    return (error as PoolError).data.problems ?? [];
  }
  throw new Error('it was accepted');
}

describe('the option alerts', () => {
  it.each([
    [{ enabled: 'no' }, /^alerts\.enabled must be true or false/],
    [
      { for: 30 },
      /^alerts\.for must be a number of milliseconds, 0, or 1,000 or more, got 30; if these are seconds, write 30_000$/,
    ],
    [{ for: -1 }, /^alerts\.for must be/],
    [
      { repeatInterval: 0 },
      /^alerts\.repeatInterval must be a number of milliseconds, 1,000 or more, or Infinity, got 0$/,
    ],
    [{ repeatInterval: '4h' }, /^alerts\.repeatInterval must be .*, got a string/],
    [{ inhibit: 1 }, /^alerts\.inhibit must be true or false/],
    [{ tiers: notify }, /^alerts\.tiers must be an array of at most 10 tiers \(\{ after, notify \}\), got a function$/],
    [{ tiers: [notify] }, /^alerts\.tiers must be .*; item 0 is no object$/],
    [{ tiers: Array.from({ length: 11 }, () => ({ after: 0, notify })) }, /^alerts\.tiers must be .*, got 11$/],
    [{ tiers: [{ notify }] }, /^alerts\.tiers\[0\]\.after must be/],
    [{ tiers: [{ after: 15, notify }] }, /^alerts\.tiers\[0\]\.after must be .*; if these are seconds, write 15_000$/],
    [{ tiers: [{ after: 0 }] }, /^alerts\.tiers\[0\]\.notify must be a function, got undefined$/],
    [{ tiers: [{ after: 0, notify: 'page' }] }, /^alerts\.tiers\[0\]\.notify must be a function, got a string$/],
    [{ tiers: [{ after: 0, notify, who: 'Ada' }] }, /^alerts\.tiers\[0\]\.who is not a known option$/],
    [
      {
        tiers: [
          { after: 2_000, notify },
          { after: 1_000, notify },
        ],
      },
      /^alerts\.tiers\[1\]\.after must not be below alerts\.tiers\[0\]\.after \(2000\), got 1000$/,
    ],
    [{ repeatIntervall: 1_000 }, /^alerts\.repeatIntervall is not a known option; did you mean 'repeatInterval'\?$/],
    [null, /^alerts must be an object, got null; write \{ enabled: false \} to switch it off, or leave it out$/],
  ])('[OPT-1] refuses %o', (alerts, message) => {
    const problems = problemsOf(() => new MCPServerPool({ alerts: alerts as never }));
    expect(problems).toEqual([expect.stringMatching(message)]);
  });

  it('[OPT-1] is refused in the same words by an alert manager alone', () => {
    expect(problemsOf(() => new AlertManager({ for: 30, tiers: [{ after: 0 } as never] }))).toEqual([
      expect.stringMatching(/^for must be /),
      expect.stringMatching(/^tiers\[0\]\.notify must be a function/),
    ]);
  });

  it('[OPT-1] names the place of an option of it that is written elsewhere', () => {
    expect(problemsOf(() => new MCPServerPool({ repeatInterval: 1_000 } as never))).toEqual([
      "repeatInterval is not a known option; did you mean 'alerts.repeatInterval'?",
    ]);
  });

  it('[OPT-1] may have times that are never over', () => {
    const tiers = [
      { after: 0, notify },
      { after: 0, notify },
      { after: Infinity, notify },
    ];
    new AlertManager({ for: Infinity, repeatInterval: Infinity, tiers }).close();
  });
});
