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
    for (const [, id = ''] of title.matchAll(/\[([A-Z]+-\d+)\]/g)) {
      if (state === 'passed') passed.add(id);
      else if (state === 'failed') failed.add(id);
      else skipped.set(id, [...(skipped.get(id) ?? []), ...(note === undefined ? [] : [note])]);
    }
  }
  const found = Object.keys(requirements).filter((id) => skipped.has(id) && !passed.has(id) && !failed.has(id));
  return new Map(found.map((id) => [id, [...new Set(skipped.get(id))]]));
}

/**
 * Prints, at the end of a run, the requirements of which all tests were skipped: this machine lacks what they need (root, a
 * cgroup, a tool). A test that fails is reported by itself. Silent when the command line chose tests by name.
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
    const found = notShown(modules.flatMap((module) => [...module.children.allTests()].map(shown)));
    if (found.size === 0) return;
    const lines = [...found].map(([id, notes]) => {
      const why = notes.length > 0 ? ` (${notes.join('; ')})` : '';
      return `  ${id}${why}: ${requirements[id as keyof typeof requirements]}`;
    });
    this.#print(`\nRequirements not shown on this machine, since their tests were skipped:\n${lines.join('\n')}\n`);
  }
}

function shown(test: TestCase): Shown {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return { title: test.fullName, state: result.state, note };
}
