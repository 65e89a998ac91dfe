import type { ShellIdentity } from '../platform.js';
import type { ProcessIdentity } from '../process-table.js';

/** The name of the guardian in a list of processes. */
export const GUARDIAN_NAME = 'mcp-server-pool-guardian';

/**
 * The script of the guardian. Its stdin is a pipe of the host: one line for each change, end of file when the host is
 * dead, whatever the cause. `$1` and `$2`: the executable that runs the reaper, and the reaper's file. `$3`: the host
 * number in rlimit marks; empty where servers have no marks. `$4` to `$6`: mark, start time and ledger of the host. All
 * others: folders of its cgroups.
 *
 * It ignores signals that are meant for the host's terminal or group, because it must not end before the host. `sweep`
 * is the fallback for a reaper that cannot run, because its program was removed while the host ran. It is slow, because
 * a shell reads byte by byte, and uses the rlimit mark alone, because a shell can only read text. It is a trap, because
 * dash exits where it cannot fork (at a limit of processes).
 */
export function guardianScript({ script }: ShellIdentity): string {
  return `set -f
trap '' HUP INT QUIT PIPE TERM USR1 USR2
${script}
executable=$1 reaper=$2 number=$3 mark=$4 since=$5 ledger=$6
shift 6
list=' '
while read -r word text; do
  one=\${text%% *}:\${text#* }
  case $word in
  +) list="$list$one " ;;
  -) case $list in *" $one "*) list=\${list%%" $one "*}' '\${list#*" $one "} ;; esac ;;
  c) set -- "$@" "$text" ;;
  q) exit 0 ;;
  esac
done
for folder do echo 1 >"$folder/cgroup.kill"; done
for one in $list; do
  leads "\${one%%:*}" "\${one#*:}" && kill -9 "-\${one%%:*}"
done
[ -n "$mark" ] || exit 0
has_mark() {
  { while read -r a b c value rest; do
    [ "$a $b $c" = 'Max file locks' ] || continue
    case $value in *[!0-9]*) return 1 ;; esac
    [ \${#value} -ge 10 ] && [ $((value >> 31)) = "$2" ]
    return $?
  done <"/proc/$1/limits"; } 2>/dev/null
  return 1
}
young() {
  row "$1" || return 1
  set -- "$2" \${line##*) }
  case $2 in X | x) return 1 ;; Z) [ "\${19}" -gt 1 ] || return 1 ;; esac
  [ "\${21}" -ge "$1" ]
}
sweep() {
  quiet=0 scans=0
  while [ $quiet -lt 3 ] && [ $scans -lt 50 ]; do
    quiet=$((quiet + 1)) scans=$((scans + 1))
    set +f
    for folder in /proc/[0-9]*; do
      pid=\${folder#/proc/}
      [ "$pid" = $$ ] || ! young "$pid" "$since" || ! has_mark "$pid" "$number" || { kill -9 "$pid" && quiet=0; }
    done
  done
}
trap sweep EXIT
[ -n "$executable" ] && "$executable" "$reaper" sweep "$mark" "$since" "$ledger" "$@" && trap - EXIT`;
}

/** A line that begins (`+`) or ends (`-`) the watch of one leader. */
export function guardianLine(word: '+' | '-', { pid, startTime }: ProcessIdentity, { format }: ShellIdentity): string {
  return `${word} ${pid} ${format(startTime)}\n`;
}

/**
 * By /proc/PID/stat. The name may contain line breaks and parentheses. The fields behind it: state, parent, group, …;
 * the 18th is the number of threads, the 20th the start time.
 */
export const procIdentity: ShellIdentity = {
  script: `row() {
  line=
  { while read -r part; do line="$line $part"; done <"/proc/$1/stat"; } 2>/dev/null
  [ -n "$line" ]
}
leads() {
  pid=$1 start=$2
  row "$pid" || return 0
  set -- \${line##*) }
  [ "$3" = "$pid" ] && [ "\${20}" = "$start" ]
}`,
  format: String,
};

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** By `ps`, where there is no /proc. */
export function psIdentity(tool: string): ShellIdentity {
  if (!/^[A-Za-z0-9/_.-]+$/.test(tool)) throw new Error(`no path for a script: ${tool}`);
  return {
    script: `leads() {
  want="$1 $2"
  set -- $(LC_ALL=C TZ=UTC0 ${tool} -o pgid= -o lstart= -p "$1" 2>/dev/null)
  [ $# = 0 ] || [ "$1 $3.$4.$5.$6" = "$want" ]
}`,
    // `Sun Nov  2 05:03:29 2026` without the day of the week, joined by dots.
    format: (startTime) => {
      const date = new Date(startTime * 1_000);
      const time = date.toISOString().slice(11, 19);
      return [MONTHS[date.getUTCMonth()], date.getUTCDate(), time, date.getUTCFullYear()].join('.');
    },
  };
}
