import { cpus, loadavg } from 'node:os';

/** Tasks for each core that want to run, from which on a missed check shows nothing of the server. */
const MOST_LOAD = 4;

/** Why this machine has no time for its processes; undefined when it has, and on Windows, which shows no load. */
export function machineOverload(): string | undefined {
  const [load = 0] = loadavg();
  // The load is that of the whole machine, so its cores count, and not those that this host may use.
  const cores = Math.max(1, cpus().length);
  if (load < MOST_LOAD * cores) return undefined;
  return `the machine is overloaded: on ${cores} ${cores === 1 ? 'core' : 'cores'} ${Math.round(load)} tasks want to run`;
}
