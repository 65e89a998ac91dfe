import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node';
import { requirements } from '../requirements.js';

/** What one test showed: its title with those of the suites around it, how it ended, and why it was skipped if it says so. */
export interface Shown {
  readonly title: string;
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending';
  readonly note?: string | undefined;
}

/** The requirements that no passing test cites and a skipped one does, in their order; each with why, where a test says so. */
export function notShown(tests: Iterable<Shown>): Map<string, string[]> {
  const passed = new Set<string>();
  const failed = new Set<string>();
  const skipped = new Map<string, string[]>();
  for (const { title, state, note } of tests) {
    for (const id of idsIn(title)) {
      if (state === 'passed') passed.add(id);
      else if (state === 'failed') failed.add(id);
      else skipped.set(id, [...(skipped.get(id) ?? []), ...(note === undefined ? [] : [note])]);
    }
  }
  const found = Object.keys(requirements).filter((id) => skipped.has(id) && !passed.has(id) && !failed.has(id));
  return new Map(found.map((id) => [id, [...new Set(skipped.get(id))]]));
}

/**
 * The skipped tests of requirements that other tests show: cases in which the requirement is not shown. A test of which one
 * requirement is in no other test is not repeated here.
 */
export function casesNotShown(tests: readonly Shown[]): Shown[] {
  const whole = notShown(tests);
  return tests.filter(({ title, state }) => {
    const ids = idsIn(title).filter((id) => Object.hasOwn(requirements, id));
    return state === 'skipped' && ids.length > 0 && !ids.some((id) => whole.has(id));
  });
}

function idsIn(title: string): string[] {
  return [...title.matchAll(/\[([A-Z]+-\d+)\]/g)].map(([, id = '']) => id);
}

/**
 * Prints, at the end of a run, the requirements of which all tests were skipped: this machine lacks what they need (root, a
 * cgroup, a tool), and the skipped cases of others. A test that fails is reported by itself. Silent when the command line
 * chose tests by name.
 */
export class NotShown implements Reporter {
  readonly #print: (text: string) => void;
  #choosesByName = false;

  constructor(print: (text: string) => void = console.log) {
    this.#print = print;
  }

  onInit({ config }: Vitest): void {
    this.#choosesByName = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    if (this.#choosesByName) return;
    const tests = modules.flatMap((module) => [...module.children.allTests()].map(shown));
    const found = [...notShown(tests)].map(([id, notes]) => {
      return `${id}${because(notes)}: ${requirements[id as keyof typeof requirements]}`;
    });
    this.#list('Requirements not shown on this machine, since their tests were skipped', found);
    const cases = casesNotShown(tests).map(({ title, note }) => `${title}${because(note === undefined ? [] : [note])}`);
    this.#list('Cases not shown on this machine, of requirements that other tests show', cases);
  }

  #list(what: string, lines: readonly string[]): void {
    if (lines.length > 0) this.#print(`\n${what}:\n${lines.map((line) => `  ${line}`).join('\n')}\n`);
  }
}

function because(notes: readonly string[]): string {
  return notes.length > 0 ? ` (${notes.join('; ')})` : '';
}

function shown(test: TestCase): Shown {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return { title: test.fullName, state: result.state, note };
}
