import type { AlertSeverity, AlertSubject } from '../../config/alert.js';
import { resolveStatusFormat, type StatusFormat } from '../../config/call-options.js';
import type { Level } from '../../monitor/level.js';
import type { PoolStatus } from '../status.js';
import { type Color, lineOf, type Part } from './lines.js';
import { serverRows } from './server-rows.js';
import { statusTable } from './status-table.js';
import { fitted, printable } from './text-width.js';

/** The rest is a number: a terminal has few lines. */
const MOST_ALERTS = 10;

const LEVEL_COLORS: Readonly<Record<Level, Color>> = {
  normal: 'green',
  warning: 'yellow',
  critical: 'red',
  nuclear: 'red',
  emergency: 'red',
};

const SEVERITY_COLORS: Readonly<Record<AlertSeverity, Color>> = { info: 'cyan', warning: 'yellow', critical: 'red' };

/**
 * A status as lines for a terminal: the pool, a line for each server with state, processes, memory, CPU, leases, callers that
 * wait and health, then the alerts. Bars compare the servers of the pool: that with the most memory has a full one, and a full
 * one of the CPU is one core, or the server that uses most.
 *
 * All columns fit into 80; in more, names and bars get longer. In fewer there are no bars, then fewer columns, in this order:
 * PROC, WAIT, TREES, CPU, MEM, LEASE, HEALTH, STATE. What does not fit into its column is cut, with `…` at its end.
 * Control characters of names and messages are written as codes. Wide characters (East Asian, emoji) take two columns.
 *
 * @param status of `pool.status()`
 * @param options `color` (default: false), `width` in columns (default: 80)
 * @returns lines, without a line break at the end
 * @throws PoolError `INVALID_OPTIONS`
 */
export function formatStatus(status: PoolStatus, options: StatusFormat = {}): string {
  const format = resolveStatusFormat(options);
  const rows = serverRows(status.servers);
  const servers = rows.length === 0 ? [[{ text: 'no server is defined' }]] : statusTable(rows, format.width);
  const lines: Part[][] = [headline(status), [], ...servers, ...alertLines(status.alerts)];
  return lines.map((line) => lineOf(line, format)).join('\n');
}

function headline(status: PoolStatus): Part[] {
  const { state, level, processes, maxProcesses, idle, leases, waiting, startsWaiting } = status;
  const most = Number.isFinite(maxProcesses) ? maxProcesses : '∞';
  const starts = startsWaiting > 0 ? ` (and ${startsWaiting} starts)` : '';
  return [
    { text: printable(`pool ${state}`), color: 'bold' },
    { text: '  level ' },
    { text: printable(level), color: LEVEL_COLORS[level] },
    { text: `  trees ${processes}/${most}  idle ${idle}  leases ${leases}  waiting ${waiting}${starts}` },
  ];
}

function alertLines(alerts: PoolStatus['alerts']): Part[][] {
  if (alerts.length === 0) return [];
  const lines: Part[][] = [[], [{ text: `ALERTS ${alerts.length}`, color: 'bold' }]];
  for (const { severity, kind, subject, message } of alerts.slice(0, MOST_ALERTS)) {
    const what = [kind, nameOf(subject), message].map(printable).join('  ');
    lines.push([{ text: fitted(severity, 9), color: SEVERITY_COLORS[severity] }, { text: what }]);
  }
  const rest = alerts.length - MOST_ALERTS;
  if (rest > 0) lines.push([{ text: `… and ${rest} more` }]);
  return lines;
}

function nameOf({ name = 'pool', part }: AlertSubject): string {
  return part === undefined ? name : `${name} ${part}`;
}
