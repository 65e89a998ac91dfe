import type { ServerDefinition } from '../../src/index.js';
import { ROOT } from '../helpers/compiled.js';
import { fixturePath } from '../helpers/fixture.js';
import { MARKER } from '../helpers/processes.js';

/** A server with processes that try to get away. */
interface Escape {
  readonly command: string;
  /** `$0` of a script is the tag, `$@` a well-behaved MCP server with the tag among its arguments. */
  readonly args: (tag: string) => string[];
  /** The command of the process that gets away, which is waited for; undefined where the server itself is the problem. */
  readonly helper?: 'sleep' | 'sh';
  /** Its leader exits by itself as soon as it has started its helper. */
  readonly exits?: true;
}

const NODE = process.execPath;
const ECHO = fixturePath('echo.js');
/** Nothing of an escape lives longer than this, s, whatever becomes of the test. */
const LIFE = 60;
const SLEEP = `sleep ${LIFE} "$0"`;
const DAEMON = `setsid sh -c '${SLEEP} & true' "$0"`;
/** Each generation starts the next and exits; `$1` are left, `$2` is this script. Then it sleeps. */
const CHAIN = `i=$1; if [ "$i" -gt 0 ]; then sleep 0.005; sh -c "$2" "$0" "$((i-1))" "$2" & else exec ${SLEEP}; fi`;
const GENERATIONS = 500;

const script = (text: string, shell: readonly string[] = ['-c']) => ({
  args: (tag: string) => [...shell, text, tag, NODE, ECHO, tag],
});

/** The rows of the matrix. */
const ESCAPES = {
  plain: { command: NODE, args: (tag) => [ECHO, tag] },
  'sh → node': { command: 'sh', ...script('"$@"; true') },
  // The package is in node_modules, so npm asks no registry.
  npx: { command: 'npx', args: (tag) => ['--no', 'mcp-server-everything', 'stdio', tag] },
  'own process group': {
    command: 'bash',
    ...script(`set -m; ${SLEEP} & exec "$@"`, ['--norc', '-c']),
    helper: 'sleep',
  },
  setsid: { command: 'sh', ...script(`setsid ${SLEEP} </dev/null >/dev/null 2>&1 & exec "$@"`), helper: 'sleep' },
  'double fork': { command: 'sh', ...script(`(${DAEMON} &); exec "$@"`), helper: 'sleep' },
  'double fork + env -i': { command: 'sh', ...script(`(env -i ${DAEMON} &); exec "$@"`), helper: 'sleep' },
  'ignores SIGTERM': { command: NODE, args: (tag) => [fixturePath('ignore-eof-and-term.js'), tag] },
  'forks all the time': {
    command: 'sh',
    ...script(`(env -i setsid sh -c '${CHAIN}' "$0" ${GENERATIONS} '${CHAIN}' &); exec "$@"`),
    helper: 'sh',
  },
  'holds stdout': { command: 'sh', ...script(`(trap "" TERM; exec ${SLEEP}) & exec "$@"`), helper: 'sleep' },
  'exits leaving a daemon': { command: 'sh', ...script(`env -i ${DAEMON}`), exits: true },
  'leaves a daemon at end of file': { command: 'sh', ...script(`"$@"; env -i ${DAEMON}`) },
} as const satisfies Record<string, Escape>;

export type EscapeName = keyof typeof ESCAPES;
export const ESCAPE_NAMES = Object.keys(ESCAPES) as EscapeName[];

export const escapeOf = (name: EscapeName): Escape => ESCAPES[name];

/** The servers that a host is to run, one for each row; `tags` say by what their processes are found. */
export function escapingServers(tags: Readonly<Record<EscapeName, string>>): Record<string, ServerDefinition> {
  return Object.fromEntries(ESCAPE_NAMES.map((name) => [name, definition(escapeOf(name), tags[name])]));
}

function definition({ command, args, exits }: Escape, tag: string): ServerDefinition {
  return {
    command,
    args: args(tag),
    cwd: ROOT,
    env: { npm_config_offline: 'true', npm_config_update_notifier: 'false' },
    inheritEnv: [MARKER],
    eofGrace: 200,
    termGrace: 200,
    // A lease that is released ends its process.
    ...(exits ? { sharing: 'dedicated' } : { sharing: 'exclusive', reuse: 'never' }),
  };
}
