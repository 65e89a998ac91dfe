import { JOINING } from '../cgroup/cgroup-files.js';
import { CGROUP_PREFIX } from '../cgroup/host-cgroup.js';
import { NO_LOGIN } from '../marks/mark-reader.js';
import type { ShellIdentity } from '../platform.js';
import type { ProcessIdentity } from '../process-table.js';
import { PLAN_VARIABLE } from './guardian-plan.js';

/**
 * The name of the guardian in a list of processes. The kernel keeps 15 characters of it (`pgrep mcp-server-pool`); the
 * whole name is one of its arguments (`pgrep -f`).
 */
export const GUARDIAN_NAME = 'mcp-server-pool-guardian';

const IGNORED = `trap '' HUP INT QUIT PIPE TERM USR1 USR2`;
const END_OF_SCRIPT = '.';

/**
 * What the shell is started with: it reads its script from stdin, because every user may read its arguments, and a file
 * of the package would be missing where a host is bundled. A script that is cut off is not run.
 */
export const GUARDIAN_BOOT = `${IGNORED}; line= script=; while IFS= read -r line && [ "$line" != ${END_OF_SCRIPT} ]; do script="$script$line
"; done; [ "$line" = ${END_OF_SCRIPT} ] && eval "$script"`;

/**
 * The script of the guardian, as {@link GUARDIAN_BOOT} reads it. Its stdin is a pipe of the host: the script, then one
 * line for each thing to know and each change, end of file when the host is dead, whatever the cause. `$1` and `$2`: the
 * executable that runs the reaper, and the reaper's file.
 *
 * The host may have given up its privileges since it started its guardian. So the first identity counts that it has
 * written (`i`, `n`, `s`), and of the folders it names only those that are its own cgroups (`enter`, which makes one the
 * working folder, so that no link can replace it). A cgroup into which the host was moving a server may hold a stranger, so it
 * is left to the reaper. The guardian ignores signals that are meant for the host's terminal or group, because it must not
 * end before the host.
 *
 * `sweep` is the fallback for a reaper that cannot run, because its program was removed while the host ran. It is slow, because
 * a shell reads byte by byte, and uses the rlimit mark alone, because a shell can only read text. Every user can give its
 * processes that mark, so it takes processes of its own user alone, as the reaper would judge them (`mine`, `young`). It
 * cannot read which user has started a setuid program, but most such programs keep the groups of that user. The sweep is an
 * EXIT trap, because dash exits where it cannot fork (at a limit of processes).
 */
export function guardianScript({ script }: ShellIdentity): string {
  return `set -f
{ echo ${GUARDIAN_NAME} >/proc/$$/comm; } 2>/dev/null
${script}
executable=$1 reaper=$2 id= number= since= plan= mounts=
find_mounts() {
  while read -r device at type rest; do [ "$type" = cgroup2 ] && mounts="$mounts $at"; done </proc/mounts
}
set --
list=' '
while read -r word text; do
  one=\${text%% *}:\${text#* }
  case $word in
  +) list="$list$one " ;;
  -) case $list in *" $one "*) list=\${list%%" $one "*}' '\${list#*" $one "} ;; esac ;;
  c) set -- "$@" "$text"; [ -n "$mounts" ] || find_mounts ;;
  i) id=\${id:-$text} ;;
  n) number=\${number:-$text} ;;
  s) since=\${since:-$text} ;;
  q) exit 0 ;;
  esac
  case $word in [mslc]) plan="$plan$word $text
" ;; esac
done
enter() {
  case $1 in /*/${CGROUP_PREFIX}"$id") cd -P "$1" || return 1 ;; *) return 1 ;; esac
  case $PWD in */${CGROUP_PREFIX}"$id") ;; *) return 1 ;; esac
  for at in $mounts; do case $PWD in "$at"/*) return 0 ;; esac; done
  return 1
}
for folder do
  enter "$folder" 2>/dev/null || continue
  set +f
  joining=
  for each in *${JOINING}; do [ -d "$each" ] && joining=1; done
  if [ -z "$joining" ]; then
    echo 1 >cgroup.kill
  else
    for each in [0-9]*; do [ -d "\${each%${JOINING}}${JOINING}" ] || echo 1 >"$each/cgroup.kill"; done
  fi
  set -f
done
cd /
for one in $list; do
  leads "\${one%%:*}" "\${one#*:}" && kill -9 "-\${one%%:*}"
done
[ -n "$number" ] || exit 0
has_mark() {
  { while read -r a b c value rest; do
    [ "$a $b $c" = 'Max file locks' ] || continue
    case $value in *[!0-9]*) return 1 ;; esac
    [ \${#value} -ge 10 ] && [ $((value >> 31)) = "$2" ]
    return $?
  done <"/proc/$1/limits"; } 2>/dev/null
  return 1
}
owner() {
  users= group= inner= login=
  { while read -r key a b c d; do
    case $key in
    Uid:) users="$a $b $c $d" ;;
    Gid:) group=$a ;;
    Groups:) group="$group $a $b $c $d" ;;
    NSpid:) inner=$b; break ;;
    esac
  done <"/proc/$1/status"
  read -r login <"/proc/$1/loginuid"; } 2>/dev/null
}
mine() {
  owner "$1"
  [ "$users" = "$user $user $user $user" ] && [ "$group" = "$own_group" ] && [ -z "$inner" ] || return 1
  [ ! -e "/proc/$1/ns/cgroup" ] || [ "/proc/$1/ns/cgroup" -ef /proc/self/ns/cgroup ] || return 1
  case $login in '' | ${NO_LOGIN} | "$user" | "$own_login") ;; *) return 1 ;; esac
}
young() {
  row "$1" || return 1
  set -- "$2" \${line##*) }
  case $2 in X | x) return 1 ;; Z) [ "\${19}" -gt 1 ] || return 1 ;; esac
  [ "\${21}" -ge "$1" ] || return 1
  row "$5" || return 0
  set -- "$1" \${line##*) }
  [ "\${21}" -ge "$1" ]
}
sweep() {
  since=\${since:-0} quiet=0 scans=0
  owner $$
  user=\${users#* } own_group=$group own_login=$login
  user=\${user%% *}
  while [ $quiet -lt 3 ] && [ $scans -lt 50 ]; do
    quiet=$((quiet + 1)) scans=$((scans + 1))
    set +f
    for folder in /proc/[0-9]*; do
      pid=\${folder#/proc/}
      [ "$pid" = $$ ] || ! young "$pid" "$since" || ! has_mark "$pid" "$number" || ! mine "$pid" ||
        { kill -9 "$pid" && quiet=0; }
    done
  done
}
trap sweep EXIT
[ -n "$executable" ] && ${PLAN_VARIABLE}=$plan "$executable" "$reaper" sweep && trap - EXIT
${END_OF_SCRIPT}
`;
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
  format: (startTime) => String(Math.floor(startTime)),
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
