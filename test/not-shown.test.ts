import { describe, expect, it } from 'vitest';
import type { TestModule, Vitest } from 'vitest/node';
import { casesNotShown, NotShown, notShown, type Shown } from './helpers/not-shown.js';
import { requirements } from './requirements.js';

// Not written out, so that they are no citations of this file.
const [first, second] = Object.keys(requirements) as [keyof typeof requirements, keyof typeof requirements];
const test = (ids: readonly string[], state: Shown['state'], note?: string): Shown => {
  return { title: `suite > ${ids.map((id) => `[${id}]`).join(' ')} does something`, state, note };
};
const found = (...tests: Shown[]) => [...notShown(tests)];

describe('requirements that are not shown', () => {
  it('are those of which all tests were skipped, with the reasons that the tests give', () => {
    expect(found(test([first], 'skipped'))).toEqual([[first, []]]);
    expect(
      found(test([second, first], 'skipped', 'no tool'), test([first], 'skipped', 'no root'), test([first], 'pending')),
    ).toEqual([
      [first, ['no tool', 'no root']],
      [second, ['no tool']],
    ]);
  });

  it('are not those that one passing test cites, that failed, or that no test of this run cites', () => {
    expect(found(test([first], 'skipped'), test([first, second], 'passed'), test([first], 'skipped'))).toEqual([]);
    expect(found(test([first], 'skipped'), test([first], 'failed'))).toEqual([]);
    expect(found(test([], 'skipped'))).toEqual([]);
    expect(found()).toEqual([]);
  });

  function report(tests: readonly Shown[], testNamePattern?: RegExp): string[] {
    const printed: string[] = [];
    const reporter = new NotShown((text) => printed.push(text));
    reporter.onInit({ config: { testNamePattern } } as Vitest);
    const all = tests.map(({ title, state, note }) => ({ fullName: title, result: () => ({ state, note }) }));
    reporter.onTestRunEnd([{ children: { allTests: () => all } }] as unknown as TestModule[]);
    return printed;
  }

  it('are printed with what they promise', () => {
    const [text, ...more] = report([test([first], 'skipped', 'no tool'), test([second], 'passed')]);
    expect(more).toEqual([]);
    expect(text).toContain('not shown on this machine');
    expect(text).toContain(`${first} (no tool): ${requirements[first]}`);
    expect(text).not.toContain(second);
  });

  it('are printed by their cases, if other tests show them', () => {
    const skipped = test([first, second], 'skipped', 'no setuid');
    const shown = [test([first], 'passed'), test([second], 'passed')];
    expect(casesNotShown([skipped, ...shown])).toEqual([skipped]);
    // The whole requirement is printed then.
    expect(casesNotShown([skipped, test([first], 'passed')])).toEqual([]);
    expect(casesNotShown([...shown, test([], 'skipped')])).toEqual([]);
    const [text, ...more] = report([skipped, ...shown]);
    expect(more).toEqual([]);
    expect(text).toContain(`${skipped.title} (no setuid)`);
    expect(report([skipped, ...shown], /name/)).toEqual([]);
  });

  it('are not printed when there are none, or when tests were chosen by name', () => {
    expect(report([test([first], 'passed')])).toEqual([]);
    expect(report([test([first], 'skipped')], /name/)).toEqual([]);
  });
});
