import type { HealthStatus } from './health-status.js';

/** After so many missed checks in a row a server is unhealthy. A single one often has a cause that passes. */
const MOST_MISSES = 3;
/** After so many missed checks in a row that did not count the next ones do: some machines are always busy. */
const MOST_EXCUSED = 30;

/** What one check of a server has found. */
export interface Signs {
  /**
   * `answered`: it has answered the check, or anything since the last one. `quiet`: it was not asked, and owes no answer.
   * `missed`: it has not answered in time, or the check says that something is wrong. `unknown`: it could not be checked.
   */
  readonly answer: 'answered' | 'quiet' | 'missed' | 'unknown';
  /** How it has answered, or why not: in words. */
  readonly how: string;
  /** Of the process that was spawned. `stopped`: by a signal (state T). */
  readonly process: 'running' | 'stopped' | 'gone';
  /** Whether it is only observed, since its client alone can ask it: silence is no proof, for it may wait for that client. */
  readonly isObserved: boolean;
  /** Whether another process of its tree is stopped. */
  readonly hasStoppedHelper: boolean;
  /** Whether it has sent any message since the last check. */
  readonly hasSpoken: boolean;
  /** Clock time of the last message, ms, of one that was not asked because of that; else undefined. */
  readonly heardAt: number | undefined;
  /** Whether CPU time, I/O or messages have moved during the check. */
  readonly moves: boolean;
  /** Whether it has a connection over which it may wait for another machine. */
  readonly isOnNetwork: boolean;
  /** Requests that it has not answered. */
  readonly open: number;
  /** Those of them that their clients have not given up. */
  readonly wanted: number;
  /** Why the machine, or the host, had no time for an answer; undefined when it had. */
  readonly overload: string | undefined;
}

/** What is known of the health of a server. */
export interface Health {
  /** Undefined before the first check. */
  readonly status: HealthStatus | undefined;
  /** Clock time since which it has this status, ms. */
  readonly since: number;
  /** Missed checks in a row. */
  readonly misses: number;
  /** Missed checks in a row that did not count. */
  readonly excused: number;
  /** Clock time of the last sign of life, ms. */
  readonly lastLife: number;
  readonly reason: string;
  readonly action: string;
}

export interface Tolerance {
  /** Longest time without a sign of life, ms. */
  readonly unhealthyAfter: number;
}

/** One line of the table: the first that applies decides. */
interface Rule {
  applies(signs: Signs, mayExcuse: boolean): boolean;
  /**
   * `missed`: by how many. `excused`: busy, for a limited time. `unchanged`: as it was, for a limited time. `unknown`: as it was.
   */
  readonly status: HealthStatus | 'missed' | 'excused' | 'unchanged' | 'unknown';
  /** Whether it shows that the server lives, or that the time until now must not count. */
  isLife(signs: Signs): boolean;
  reason(signs: Signs): string;
  readonly action: string;
}

const RULES: readonly Rule[] = [
  {
    applies: ({ answer }) => answer === 'unknown',
    status: 'unknown',
    // What has passed meanwhile proves nothing.
    isLife: () => true,
    reason: ({ how }) => `it could not be checked: ${how}`,
    action: 'see what keeps the host from looking at its processes',
  },
  {
    applies: ({ process }) => process === 'gone',
    status: 'unhealthy',
    isLife: () => false,
    reason: () => 'its process is gone',
    action: 'wait for its exit to be reported',
  },
  {
    applies: ({ process }) => process === 'stopped',
    status: 'unhealthy',
    isLife: () => false,
    reason: () => 'its process was stopped by a signal (state T)',
    action: 'send it SIGCONT, or restart it',
  },
  {
    applies: ({ answer }) => answer === 'answered' || answer === 'quiet',
    status: 'healthy',
    isLife: () => true,
    reason: ({ how }) => how,
    action: '',
  },
  {
    applies: ({ hasStoppedHelper }) => hasStoppedHelper,
    status: 'unhealthy',
    isLife: () => false,
    reason: ({ how }) => `${how}, and a process of it was stopped by a signal (state T)`,
    action: 'send it SIGCONT, or restart the server',
  },
  {
    applies: ({ overload }, mayExcuse) => overload !== undefined && mayExcuse,
    status: 'unchanged',
    // What has passed meanwhile proves nothing.
    isLife: () => true,
    reason: ({ how, overload }) => `${how}, which does not count: ${overload}`,
    action: 'give the machine less to do',
  },
  {
    applies: ({ wanted, moves }) => wanted > 0 && moves,
    status: 'busy',
    isLife: () => true,
    reason: ({ how }) => `${how}, but it works on a call`,
    action: 'set requestTimeout if its calls must not take so long',
  },
  {
    applies: ({ wanted, isOnNetwork }) => wanted > 0 && isOnNetwork,
    status: 'busy',
    isLife: () => true,
    reason: ({ how }) => `${how}, but it has a connection, and may wait for another machine in a call`,
    action: 'set requestTimeout if its calls must not take so long',
  },
  {
    applies: ({ open, moves }, mayExcuse) => open === 0 && moves && mayExcuse,
    status: 'excused',
    isLife: () => true,
    reason: ({ how }) => `${how}, but it works on something that no client has asked for`,
    action: 'give it a readyCheck if it must work before it can answer',
  },
  {
    applies: ({ isObserved }) => isObserved,
    status: 'degraded',
    isLife: () => false,
    reason: ({ how, open, wanted }) => `${how}, with ${requests(open, wanted)}; only its client can ask it`,
    action: 'see what it writes to stderr; set requestTimeout if its calls must not take so long',
  },
  {
    applies: () => true,
    status: 'missed',
    isLife: ({ hasSpoken }) => hasSpoken,
    reason: ({ how, open, wanted }) => `${how}${open > 0 ? `, with ${requests(open, wanted)}` : ''}`,
    action: 'see what it writes to stderr; it is restarted if health.onUnhealthy allows it',
  },
];

/** What is known of a server after a check. */
export function assess(before: Health, signs: Signs, { unhealthyAfter }: Tolerance, now: number): Health {
  const rule = RULES.find(({ applies }) => applies(signs, before.excused < MOST_EXCUSED)) as Rule;
  const lastLife = rule.isLife(signs) ? Math.max(before.lastLife, signs.heardAt ?? now) : before.lastLife;
  const [misses, excused] = COUNTS[rule.status](before);
  const isOver = misses >= MOST_MISSES || now - lastLife >= unhealthyAfter;
  const status = statusOf(rule.status, before.status, isOver);
  const since = status === before.status ? before.since : now;
  return { status, since, misses, excused, lastLife, reason: rule.reason(signs), action: rule.action };
}

/** What each outcome makes of the missed checks in a row, and of those that did not count. */
const COUNTS: Readonly<Record<Rule['status'], (before: Health) => readonly [misses: number, excused: number]>> = {
  healthy: () => [0, 0],
  busy: () => [0, 0],
  degraded: ({ misses, excused }) => [misses + 1, excused],
  unhealthy: ({ misses, excused }) => [misses + 1, excused],
  missed: ({ misses, excused }) => [misses + 1, excused],
  excused: ({ excused }) => [0, excused + 1],
  unchanged: ({ misses, excused }) => [misses, excused + 1],
  unknown: ({ misses, excused }) => [misses, excused],
};

function statusOf(found: Rule['status'], before: HealthStatus | undefined, isOver: boolean): HealthStatus | undefined {
  if (found === 'missed') return isOver ? 'unhealthy' : 'degraded';
  if (found === 'excused') return 'busy';
  return found === 'unchanged' || found === 'unknown' ? before : found;
}

/**
 * Whether an unhealthy server is to be restarted now: nothing is lost by it, because no client waits for an answer any more; or
 * it has shown no sign of life for too long.
 */
export function mustRestart(health: Health, signs: Signs, { unhealthyAfter }: Tolerance, now: number): boolean {
  // What is gone is a crash, with an exit code, as soon as that is reported. What could not be checked shows nothing.
  if (health.status !== 'unhealthy' || signs.process === 'gone' || signs.answer === 'unknown') return false;
  return signs.wanted === 0 || now - health.lastLife >= unhealthyAfter;
}

function requests(open: number, wanted: number): string {
  const count = open === 1 ? 'one open request' : `${open} open requests`;
  return wanted === 0 ? `${count}, given up` : count;
}
