import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { newFolder } from './folders.js';
import { type RunningHost, startHost } from './host.js';
import { until } from './until.js';

/** What a participant of a lane has written into the log that all share: a word, and who it is. */
export interface LaneEvent {
  readonly word: string;
  readonly who: string;
}

/** Processes that contend for a lane. Each line of the log is appended by one write, so the log has the order of what happened. */
export class Contest {
  readonly folder = newFolder();
  readonly log = join(newFolder(), 'log');
  readonly hosts = new Map<string, RunningHost>();

  constructor() {
    appendFileSync(this.log, '');
    // `onTestFinished` runs in reverse order: the hosts are dead before the folders are removed.
    onTestFinished(async () => {
      await Promise.all([...this.hosts.values()].map(({ child, result }) => (child.kill('SIGKILL'), result)));
    });
  }

  /**
   * Starts a process. In `script` there are `FOLDER`, `ME`, and `log(word)`.
   * @param who no blanks
   */
  start(who: string, script: string): RunningHost {
    const head = `
      const FOLDER = ${JSON.stringify(this.folder)}, ME = ${JSON.stringify(who)};
      const { appendFileSync } = await import('node:fs');
      const log = (word) => appendFileSync(${JSON.stringify(this.log)}, word + ' ' + ME + '\\n');`;
    const host = startHost(head + script, { timeout: 300_000 });
    this.hosts.set(who, host);
    return host;
  }

  note(word: string, who: string): void {
    appendFileSync(this.log, `${word} ${who}\n`);
  }

  events(): LaneEvent[] {
    const lines = readFileSync(this.log, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => {
      const [word = '', who = ''] = line.split(' ');
      return { word, who };
    });
  }

  /** Those that have written `word`, in this order. */
  who(word: string): string[] {
    return this.events().flatMap((event) => (event.word === word ? event.who : []));
  }

  async saw(word: string, who: string): Promise<void> {
    await until(`${who} has written '${word}'`, () => this.who(word).includes(who));
  }

  /** Kills it, and writes so into the log before. */
  kill(who: string): void {
    this.note('killed', who);
    this.hosts.get(who)?.child.kill('SIGKILL');
  }
}

/** Each pair of participants that held the lane at the same time. A holder holds it from `start` to `end`, or until it is killed. */
export function overlaps(events: readonly LaneEvent[]): string[] {
  const found: string[] = [];
  const holders = new Set<string>();
  for (const { word, who } of events) {
    if (word === 'start') {
      for (const other of holders) found.push(`${who} started while ${other} held the lane`);
      holders.add(who);
    }
    if (word === 'end' || word === 'killed') holders.delete(who);
  }
  return found;
}

/** Each participant that started after one that came later: that only began to come (`coming`) when it had its place (`arrived`). */
export function inversions(events: readonly LaneEvent[]): string[] {
  const at = (word: string) =>
    new Map(events.flatMap((event, index) => (event.word === word ? [[event.who, index] as const] : [])));
  const [coming, arrived, started] = [at('coming'), at('arrived'), at('start')];
  const found: string[] = [];
  for (const [first, hadPlace] of arrived) {
    for (const [second, came] of coming) {
      const [a, b] = [started.get(first), started.get(second)];
      if (hadPlace < came && a !== undefined && b !== undefined && b < a) found.push(`${second} before ${first}`);
    }
  }
  return found;
}
