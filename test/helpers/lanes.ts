import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import {
  type LaneOptions,
  type RunningCommand,
  type RunOptions,
  type RunResult,
  SequentialExecutor,
} from '../../src/index.js';
import type { Clock } from '../../src/runtime/clock.js';
import { newFolder } from './folders.js';
import { hostArgs, type RunningHost, startHost } from './host.js';
import { livingProcesses, type ProcessInfo } from './processes.js';
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
      for (const { child } of this.hosts.values()) child.kill('SIGKILL');
      await Promise.all([...this.hosts.values()].map(({ result }) => result));
    });
  }

  /**
   * Starts a process. In `script` there are `FOLDER`, `LOG`, `ME`, and `log(word)`.
   * @param who no blanks
   */
  start(who: string, script: string): RunningHost {
    const head = `
      const FOLDER = ${JSON.stringify(this.folder)}, LOG = ${JSON.stringify(this.log)}, ME = ${JSON.stringify(who)};
      const { appendFileSync } = await import('node:fs');
      const log = (word) => appendFileSync(LOG, word + ' ' + ME + '\\n');`;
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

  /** The living processes of the commands: `FOLDER/tree` is one of their arguments. */
  tree(): ProcessInfo[] {
    return livingProcesses((pid) => argumentsOf(pid).includes(`${this.folder}/tree`));
  }

  /** Kills it, and writes so into the log before. */
  kill(who: string): void {
    this.note('killed', who);
    this.hosts.get(who)?.child.kill('SIGKILL');
  }
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
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

/** A lane in a folder of its own, shut down after the test. */
export function newLane(options: Partial<LaneOptions> = {}, clock?: Clock): TestLane {
  const lane = new TestLane({ lane: 'tests', ...options, folder: options.folder ?? newFolder() }, clock);
  onTestFinished(() => lane.shutdown({ mode: 'emergency' }));
  return lane;
}

class TestLane extends SequentialExecutor {
  readonly folder: string;

  constructor(options: LaneOptions & { readonly folder: string }, clock?: Clock) {
    super(options, clock);
    this.folder = options.folder;
  }

  /** Runs a command that does nothing and does not end. Resolves when it runs. */
  async hold(
    options: RunOptions = {},
    script = '',
  ): Promise<{ readonly pid: number; readonly result: Promise<RunResult> }> {
    let pid: number | undefined;
    const onStart = (running: RunningCommand) => {
      pid = running.pid;
    };
    const result = this.run(...node(`${script}; setInterval(() => {}, 1e6)`), { ...options, onStart });
    // A failure is one of the test, which awaits the result.
    result.catch(() => {});
    return { pid: await until('the command runs', () => pid), result };
  }

  /** A command that writes what becomes of `run()` in that lane: an exit code, or the code of an error. */
  nested(name: string): [string, string[]] {
    const options = JSON.stringify({ lane: name, folder: this.folder });
    const script = `
      const { SequentialExecutor } = await import(SRC + '/index.js');
      const lane = new SequentialExecutor(${options});
      const done = lane.run(process.execPath, ['-e', '0']).then(({ exitCode }) => exitCode, ({ code }) => code);
      process.stdout.write(String(await done));`;
    return [process.execPath, hostArgs(script)];
  }
}

/** The command of a script of Node (CommonJS). */
export function node(script: string): [string, string[]] {
  return [process.execPath, ['-e', script]];
}
