import { readFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { killProcess, livingProcesses, type ProcessInfo } from './processes.js';

let tags = 0;

/** A number that no other process of the machine has as an argument, and which hardly changes the time of `sleep 50 TAG`. */
export function newTag(): string {
  tags += 1;
  const tag = `0.0${process.pid}00${tags}1`;
  // After a failed test, a process without its environment cannot be found in any other way.
  onTestFinished(() => {
    for (const row of tagged(tag)) killProcess(row);
  });
  return tag;
}

/** The living processes with this tag as an argument. */
export function tagged(tag: string): ProcessInfo[] {
  return livingProcesses((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(tag);
    } catch {
      return false;
    }
  });
}

const STAY = 'cat >/dev/null; sleep 50';
/** A bounded fork chain: each generation starts the next and exits. `$0` is the tag, `$1` the generations left, `$2` this script. */
const CHAIN =
  'i=$1; if [ "$i" -gt 0 ]; then sleep 0.002; sh -c "$2" "$0" "$((i-1))" "$2" & else exec sleep 50 "$0"; fi';

/** Ways in which processes of a server leave its tree: scripts for `sh`, with the tag as `$0`. */
export const ESCAPES: Readonly<Record<string, string>> = {
  plain: 'exec sleep 50 "$0"',
  'sh → node': `"${process.execPath}" -e 'setTimeout(() => {}, 50_000)' -- "$0"; true`,
  // bash reads ~/.bashrc when its stdin is a socket, as Node's pipes are.
  'own group': `bash --norc -c 'set -m; sleep 50 "$0" & wait' "$0"`,
  setsid: `setsid sleep 50 "$0" & ${STAY}`,
  'double fork': `(setsid sh -c 'sleep 50 "$0" & true' "$0" &); ${STAY}`,
  'double fork + env -i': `(env -i setsid sh -c 'sleep 50 "$0" & true' "$0" &); ${STAY}`,
  'double fork, environment kept, limit reset': `(setsid sh -c 'ulimit -S -w unlimited 2>/dev/null || ulimit -S -x unlimited; sleep 50 "$0" & true' "$0" &); ${STAY}`,
  'fork chain in sessions of its own': `(env -i setsid sh -c '${CHAIN}' "$0" 150 '${CHAIN}' &); ${STAY}`,
};

/** Also loses both marks, so that only its cgroup is known; `$0` is the tag. Exits on SIGTERM. */
export const BEYOND_MARKS = `(env -i setsid sh -c 'ulimit -S -w unlimited 2>/dev/null || ulimit -S -x unlimited; (trap "exit 0" TERM; while :; do sleep 0.05; done) & true' "$0" &); ${STAY}`;
