import { randomUUID } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { beforeEach, onTestFinished } from 'vitest';
import { hostFolders } from './cgroups.js';
import { everyDescendant, killProcess, MARKER, marked, type ProcessInfo } from './processes.js';
import { runningTimers, watchTimers } from './timers.js';
import { until } from './until.js';

// A setup file of vitest: it fails a test that leaves a process, cgroup, descriptor, handle or timer behind. It is registered
// first, so it runs after all `afterEach` and `onTestFinished` of the test.

const SETTLE = 5_000;
const RESOURCES = ['Immediate', 'ProcessWrap', 'PipeWrap'];

// By this value every process is found that this worker starts, and that has left its tree.
process.env[MARKER] = randomUUID();
watchTimers();

interface Baseline {
  readonly processes: ReadonlySet<string>;
  readonly descriptors: readonly string[];
  readonly resources: Readonly<Record<string, number>>;
  readonly timers: readonly string[];
}

beforeEach(() => {
  const baseline: Baseline = {
    processes: new Set(ownProcesses().map(identity)),
    descriptors: descriptors(),
    resources: resources(),
    timers: runningTimers(),
  };
  onTestFinished(() => assertNothingLeft(baseline), SETTLE + 5_000);
});

async function assertNothingLeft(baseline: Baseline): Promise<void> {
  try {
    await until('nothing is left of the test', () => leaks(baseline).length === 0, { timeout: SETTLE, interval: 10 });
  } catch {
    const found = leaks(baseline);
    for (const row of newProcesses(baseline)) killProcess(row);
    if (found.length > 0) throw new Error(`the test left behind:\n${found.map((leak) => `  - ${leak}`).join('\n')}`);
  }
}

function leaks(baseline: Baseline): string[] {
  const found = newProcesses(baseline).map(
    ({ pid, parent, command }) => `process ${pid} (${command}), child of ${parent}`,
  );
  const open = descriptors();
  if (open.length > baseline.descriptors.length) {
    const before = new Set(baseline.descriptors);
    found.push(`${open.length - baseline.descriptors.length} descriptors: ${open.filter((one) => !before.has(one))}`);
  }
  const now = resources();
  for (const [type, before] of Object.entries(baseline.resources)) {
    if ((now[type] ?? 0) > before) found.push(`${(now[type] ?? 0) - before} active ${type}`);
  }
  found.push(...hostFolders().map((folder) => `cgroup ${folder}`));
  found.push(...withoutThose(runningTimers(), baseline.timers).map((timer) => `timer set at ${timer}`));
  return found;
}

function newProcesses({ processes }: Baseline): ProcessInfo[] {
  return ownProcesses().filter((row) => !processes.has(identity(row)));
}

/** The processes that this worker started: its descendants, and those with its marker. */
function ownProcesses(): ProcessInfo[] {
  return [...new Map([...everyDescendant(), ...marked()].map((row) => [row.pid, row])).values()];
}

function identity({ pid, startTime }: ProcessInfo): string {
  return `${pid}@${startTime}`;
}

function descriptors(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return `${fd} → ${readlinkSync(`/proc/self/fd/${fd}`)}`;
    } catch {
      // The descriptor that was open only to read the folder.
      return fd;
    }
  });
}

/** Counts handles that keep the process alive. */
function resources(): Record<string, number> {
  const active = process.getActiveResourcesInfo();
  return Object.fromEntries(RESOURCES.map((type) => [type, active.filter((one) => one === type).length]));
}

function withoutThose(all: readonly string[], less: readonly string[]): string[] {
  const rest = [...less];
  return all.filter((one) => {
    const index = rest.indexOf(one);
    if (index === -1) return true;
    rest.splice(index, 1);
    return false;
  });
}
