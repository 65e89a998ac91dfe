// What an operator does with a pool, on servers of its own (those of examples/terminal-monitor):
//
//   npm run build                                          in a clone; of an installed package: ../README.md
//   node examples/operations/index.js health              what each server answers, and whether all is well
//   node examples/operations/index.js restart files       restarts one server
//   node examples/operations/index.js restart-all         restarts all, one after the other
//   node examples/operations/index.js shutdown            ends all, and the pool
//   node examples/operations/index.js drill files hang    breaks a server (kill, exit or hang) and measures its recovery
//
// Each with --dry-run: says what it would do, and does nothing. The exit code is 1 when something is not well.
import { parseArgs } from 'node:util';
import { formatStatus, MCPServerPool, runRecoveryDrill } from 'mcp-server-pool';
import { servers, startAll } from '../terminal-monitor/demo.js';

/** Each prints what it does, and returns whether all is well. */
const OPERATIONS = {
  async health(pool, { dryRun }) {
    const instances = Object.values(pool.status().servers).flatMap((server) => server.instances);
    if (dryRun) {
      for (const { id, pid } of instances) console.log(`would ask ${id}, pid ${pid}`);
      return true;
    }
    for (const { id } of instances) await pool.health.checkNow(id);
    console.log(`${formatStatus(pool.status())}\n`);
    const { status, checks } = pool.health.verdict({ probe: 'readiness' });
    for (const check of checks) console.log(`${check.name}: ${check.status}. ${check.reason} ${check.action}`.trim());
    console.log(`all together: ${status}`);
    return status === 'ok';
  },

  async restart(pool, { dryRun, server }) {
    if (!pool.hasServer(server)) throw new Error(`server '${server}' is not defined`);
    if (dryRun) return printPlan(pool.plan('restart'), ({ name }) => name === server);
    const before = pidsOf(pool);
    await pool.restart(server);
    await pool.warm(server);
    return printChange(before, pidsOf(pool));
  },

  async 'restart-all'(pool, { dryRun }) {
    if (dryRun) return printPlan(pool.plan('restart'));
    const before = pidsOf(pool);
    const report = await pool.restartAll();
    for (const { name, ok, error, duration } of report.servers)
      console.log(`${name}: ${ok ? `restarted in ${duration} ms` : error.message}`);
    await startAll(pool);
    return printChange(before, pidsOf(pool)) && report.ok;
  },

  async shutdown(pool, { dryRun }) {
    if (dryRun) return printPlan(pool.plan('shutdown'));
    const { servers: ends, survivors, duration } = await pool.shutdown();
    for (const { name, pid, termination } of ends) console.log(`${name}, pid ${pid}: ended by ${termination?.endedBy}`);
    console.log(`${ends.length} trees in ${duration} ms, ${survivors.length} survivors`);
    return survivors.length === 0;
  },

  async drill(pool, { dryRun, server, fault }) {
    const report = await runRecoveryDrill(pool, { server, fault, dryRun });
    console.log(String(report));
    return report.verdict === 'passed' || report.verdict === 'planned';
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'dry-run': { type: 'boolean', default: false } },
});
const [operation, server = 'files', fault = 'kill'] = positionals;
if (Object.hasOwn(OPERATIONS, operation ?? '')) process.exitCode = await main(OPERATIONS[operation]);
else {
  const calls = 'health | restart [server] | restart-all | shutdown | drill [server] [kill | exit | hang]';
  console.error(`usage: node examples/operations/index.js ${calls} [--dry-run]`);
  process.exitCode = 2;
}

/** Returns the exit code. */
async function main(run) {
  const pool = new MCPServerPool({ servers, handleSignals: true });
  // A health check does not keep a process alive; a host such as an HTTP server lives anyway.
  const alive = setInterval(() => {}, 60_000);
  try {
    await startAll(pool);
    return (await run(pool, { dryRun: values['dry-run'], server, fault })) ? 0 : 1;
  } catch (error) {
    console.error(error.code === 'POOL_CLOSED' ? 'interrupted' : error.message);
    return 1;
  } finally {
    await pool.shutdown();
    clearInterval(alive);
  }
}

function printPlan({ ends }, isMeant = () => true) {
  for (const { name, pid, reason, steps } of ends.filter(isMeant)) {
    const ladder = steps.map(({ step, grace }) => `${step} (${grace} ms)`).join(', ');
    console.log(`would end ${name}, pid ${pid} (${reason}): ${ladder}`);
  }
  return true;
}

/** Server → pid of its first process. */
function pidsOf(pool) {
  return Object.entries(pool.status().servers).map(([name, { instances }]) => [name, instances[0]?.pid]);
}

function printChange(before, after) {
  const now = new Map(after);
  for (const [name, pid] of before) {
    const next = now.get(name);
    console.log(`${name}: pid ${pid}${next === pid ? ' as before' : ` → ${next}`}`);
  }
  return after.every(([, pid]) => pid !== undefined);
}
