const WIDTH = 58;
const LABEL = 30;
const NUMBER = 8;
const ENDINGS = { eof: 'end of file', SIGTERM: 'SIGTERM', SIGKILL: 'SIGKILL', exit: 'their own exit' };
const MOST_PROBLEMS = 10;
const [RED, GREEN, YELLOW] = [31, 32, 33];

/** Prints the report. Returns whether there was no problem. */
export function printReport(run) {
  const { sessions, tally, metrics, watch, shutdown, survivors, limit, interrupted, duration } = run;
  const uses = sessions.reduce((sum, { servers }) => sum + servers.length, 0);
  const problems = findProblems(run);
  const rule = '─'.repeat(WIDTH);
  const row = (label, number, note = '') =>
    console.log(` ${label.padEnd(LABEL)}${String(number).padStart(NUMBER)}  ${note}`.trimEnd());

  console.log(rule);
  row('client sessions', tally.sessions, 'SDK v1 and v2');
  row('tool calls', tally.calls, `${tally.checks} checks`);
  row('wrong results', tally.wrong.length);
  console.log(rule);
  row('processes alive at most', metrics.mostProcesses, `limit ${limit}`);
  row('  the same, seen in /proc', watch.most);
  row('one per session would need', uses, 'processes');
  row('processes started', metrics.started, `${metrics.evicted} evicted`);
  row('leases given', metrics.acquired);
  row('getting a server, p50', percentile(tally.waits, 0.5), 'ms');
  row('getting a server, p95', percentile(tally.waits, 0.95), 'ms');
  console.log(rule);
  row('trees ended by shutdown', shutdown.servers.length, `in ${shutdown.duration} ms`);
  for (const [ending, count] of countEndings(shutdown)) row(`  ended by ${ENDINGS[ending] ?? ending}`, count);
  row('survivors, by the pool', shutdown.survivors.length);
  row('survivors, seen in /proc', survivors.length);
  console.log(rule);

  for (const problem of problems.slice(0, MOST_PROBLEMS)) console.log(` ${problem}`);
  if (problems.length > MOST_PROBLEMS) console.log(` … and ${problems.length - MOST_PROBLEMS} more`);
  const passed = problems.length === 0;
  const verdict = !passed ? paint('FAILED', RED) : interrupted ? paint('INTERRUPTED', YELLOW) : paint('PASSED', GREEN);
  console.log(` ${verdict} after ${(duration / 1000).toFixed(1)} s`);
  return passed;
}

function findProblems({ sessions, tally, metrics, watch, shutdown, survivors, limit, interrupted }) {
  const problems = [...tally.failed, ...tally.wrong];
  if (!interrupted) {
    if (tally.sessions < sessions.length) problems.push(`${tally.sessions} of ${sessions.length} sessions were done`);
    if (tally.calls === 0) problems.push('no tool was called');
    // Without this check, a scan that cannot see any process would look like a clean end.
    if (watch.most === 0) problems.push('the scan of /proc saw none of the servers');
  }
  if (metrics.crashes > 0) problems.push(`servers that exited by themselves: ${metrics.crashes}`);
  if (Math.max(metrics.mostProcesses, watch.most) > limit) problems.push(`more than ${limit} processes were alive`);
  for (const { name, pid } of shutdown.survivors) problems.push(`the pool could not end ${pid} (${name})`);
  for (const { pid, command } of survivors) problems.push(`process ${pid} (${command}) is left`);
  return problems;
}

/** Counts the trees by the step that ended them. */
function countEndings({ servers }) {
  const counts = new Map();
  for (const { termination } of servers) {
    const ending = termination?.endedBy ?? 'an unknown step';
    counts.set(ending, (counts.get(ending) ?? 0) + 1);
  }
  return counts;
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return value === undefined ? '-' : value < 10 ? value.toFixed(1) : Math.round(value);
}

function paint(text, color) {
  return process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[1;${color}m${text}\x1b[0m` : text;
}
