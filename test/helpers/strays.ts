import type { MarkedHost } from '../../src/process/marks/marker.js';
import type { ProcessIdentity } from '../../src/process/process-table.js';
import type { Inspector } from '../../src/process/strays/inspector.js';
import type { StdinState } from '../../src/process/strays/stdin-state.js';
import type { StraySystem } from '../../src/process/strays/stray-scan.js';
import { FakeTable } from './fake-table.js';

/** Facts about a fake process that are not in its row of the process table. */
interface FakeFacts {
  readonly ours: boolean;
  readonly commandLine: string;
  readonly mark: 'ours' | MarkedHost | undefined;
  readonly service: string | undefined;
  readonly stdin: StdinState;
  readonly memory: number;
}

/** The pid of this process on the fake machine; its parent is 90. */
const SELF = 100;

/** A machine with the processes that the test adds. By default each matches the patterns, and its stdin is closed. */
export class FakeSystem implements StraySystem {
  readonly table = new FakeTable();
  readonly self = SELF;
  readonly scope = 'this boot';
  /** The leaders of the servers of our pools. */
  leaders: ProcessIdentity[] = [];
  readonly signals: { readonly pid: number; readonly signal: string }[] = [];
  readonly #facts = new Map<number, FakeFacts>();
  /** Whether a host lives, by the ledger; undefined when that is not known. */
  hostLives: (host: MarkedHost) => boolean | undefined = () => undefined;
  /** The effect of a signal. By default it kills. */
  onSignal: (pid: number, signal: string) => void = (pid) => this.table.remove(pid);

  constructor() {
    this.add(1, { command: 'init', parent: 0 }, { stdin: 'unknown' });
    this.add(90, {}, { stdin: 'unknown' });
    this.add(SELF, { parent: 90 });
  }

  add(pid: number, row: Parameters<FakeTable['change']>[1] = {}, facts: Partial<FakeFacts> = {}): void {
    this.table.add({ pid, ...row });
    this.know(pid, facts);
  }

  know(pid: number, facts: Partial<FakeFacts>): void {
    const plain = {
      ours: true,
      commandLine: 'mcp-server',
      mark: undefined,
      service: undefined,
      stdin: 'closed' as const,
      memory: 1,
    };
    this.#facts.set(pid, { ...plain, ...this.#facts.get(pid), ...facts });
  }

  inspect(): Inspector {
    const of = (pid: number) => this.#facts.get(pid) as FakeFacts;
    return {
      hasOurUser: (pid) => of(pid).ours,
      isOurUsers: (pid) => of(pid).ours,
      commandLine: (pid) => of(pid).commandLine,
      memory: (pid) => of(pid).memory,
      markedBy: (pid) => of(pid).mark,
      serviceOf: ({ pid }) => of(pid).service,
      stdin: (pid) => of(pid).stdin,
    };
  }

  registered(): ProcessIdentity[] {
    return this.leaders;
  }

  signal(pid: number, signal: NodeJS.Signals): void {
    this.signals.push({ pid, signal });
    this.onSignal(pid, signal);
  }
}
