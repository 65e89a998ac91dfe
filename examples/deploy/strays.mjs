// MCP servers that hosts have left on this machine, for cron and CI: before a job and after it. It is silent when there are none.
//
//   node strays.mjs                        lists them; the exit code is 1 when there are any
//   node strays.mjs --end                  ends them; the exit code is 1 when one of them lives on
//   node strays.mjs --older-than 0         those that have just started, too: only where nothing else runs (a CI machine)
//   node strays.mjs --pattern acme-        command lines that contain this, instead of those of most servers; also several
import { parseArgs } from 'node:util';
import { endStrays, findStrays } from 'mcp-server-pool';

const { values } = parseArgs({
  options: {
    end: { type: 'boolean', default: false },
    'older-than': { type: 'string', default: '60' }, // s
    pattern: { type: 'string', multiple: true },
  },
});

// No arguments of the processes: they may be secret, and the output of a job is kept.
const strays = await findStrays({ olderThan: Number(values['older-than']) * 1_000, patterns: values.pattern });
for (const { pid, command, age, memoryMB } of strays)
  console.log(`left: ${command}, pid ${pid}, ${Math.round(age / 1_000)} s old, ${Math.round(memoryMB)} MB`);
if (values.end) {
  const ends = await endStrays(strays);
  for (const { pid, outcome } of ends) console.log(`${outcome}: pid ${pid}`);
  process.exitCode = ends.some(({ outcome }) => outcome === 'survived') ? 1 : 0;
} else process.exitCode = strays.length > 0 ? 1 : 0;
