import { createInterface } from 'node:readline';
import { reapHost } from './process/guardian/dead-hosts.js';
import { PLAN_VARIABLE, readPlan } from './process/guardian/guardian-plan.js';
import { GUARDIAN_NAME } from './process/guardian/guardian-script.js';
import { isLedgerOf, removeLedger } from './process/guardian/ledger.js';
import { linux } from './process/platforms/linux.js';

/**
 * A child that was being forked when the host was killed gets its mark when it becomes its program. Under heavy load
 * that may be after the first sweep; so a second one follows, this many ms later.
 */
const LATE_CHILDREN = 1_000;

/**
 * Ends all that a dead host has left. `reaper.js sweep` gets its plan from the guardian, in a variable; `reaper.js watch`
 * is a guardian itself, and reads from stdin what a shell would read, without the script.
 */
const [what] = process.argv.slice(2);
if (what === 'watch') watch();
else if (what === 'sweep') await reap((process.env[PLAN_VARIABLE] ?? '').split('\n'));
else refuse();

async function reap(lines: readonly string[]): Promise<void> {
  const plan = readPlan(lines) ?? refuse();
  await reapHost(plan, linux, { hold: true });
  await new Promise((resolve) => setTimeout(resolve, LATE_CHILDREN));
  const { quiet, survivors } = await reapHost(plan, linux, { hold: true });
  const { ledger, mark } = plan;
  if (quiet && survivors.length === 0 && ledger !== undefined && isLedgerOf(ledger, mark)) removeLedger(ledger);
}

function refuse(): never {
  throw new Error('the guardian of mcp-server-pool calls this with its plan: it is of no use by itself');
}

/** The guardian without a shell: reads the same lines from stdin as the shell script, and does the same. */
function watch(): void {
  process.title = GUARDIAN_NAME;
  // Signals meant for the host must not end the guardian before the host.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => {});
  /** pid → start time of the leaders of the groups to be killed. */
  const leaders = new Map<number, number>();
  const plan: string[] = [];
  const handle = (line: string) => {
    const [word = '', pid = '', startTime] = line.split(' ');
    if (word === 'q') process.exit();
    if (word === '+') leaders.set(Number(pid), Number(startTime));
    else if (word === '-') leaders.delete(Number(pid));
    else plan.push(line);
  };
  const killGroups = () => {
    for (const [pid, startTime] of leaders) {
      const row = linux.table.read(pid);
      if (row === undefined || (row.startTime === startTime && row.group === pid)) linux.signalGroup(pid, 'SIGKILL');
    }
  };
  createInterface({ input: process.stdin })
    .on('line', handle)
    .once('close', () => {
      killGroups();
      void reap(plan);
    });
}
