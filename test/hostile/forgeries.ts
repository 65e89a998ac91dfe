import { OWN_CONTAINER } from '../helpers/namespace.js';
import { NO_SETUID, RAISES, raises } from './setuid.js';
import {
  asUser,
  type Forger,
  forger,
  MALLORY,
  NO_LOGIN,
  NO_NAMESPACES,
  NO_OWN_NAMESPACES,
  OBSTACLE,
  OTHER,
  setuidCopy,
} from './strangers.js';

const SLEEP = 'sleep 50 "$0"';
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
const OWN_PARTS = ['--mount', '--uts', '--ipc', '--net', '--cgroup'];
const CONTAINER = [...NAMESPACE, ...OWN_PARTS];

/** A process that is not of a host, and forges the marks of it. */
export interface Forgery {
  /** @param env the variable, where that is forged, too */
  make(env?: Readonly<Record<string, string>>): Forger;
  /** Why it cannot be made here; undefined when it can. */
  readonly obstacle: string | undefined;
  /** What it shows that the process lives on. */
  readonly ids: string;
}

const OF_USERS = '[MARK-12] [PROOF-4]';
const OF_SETUID = '[SETUID-1] [PROOF-4]';
const OF_CONTAINERS = '[MARK-15] [PROOF-4]';

/** All that may forge the marks of a host of `user`, by what it is. */
export function forgeries(user: number): Readonly<Record<string, Forgery>> {
  const other = user === MALLORY ? OTHER : MALLORY;
  const of = (options: Parameters<typeof forger>[0], obstacle: string | undefined, ids = OF_USERS): Forgery => {
    return { make: (env) => forger({ user: other, env, ...options }), obstacle, ids };
  };
  /** In a container of root, with the number of the user of the host. */
  const within = (container: readonly string[]) =>
    of({ within: [...container, ...asUser(user)], user: 0 }, NO_NAMESPACES, OF_CONTAINERS);
  const ofAll = {
    'a daemon': of({}, OBSTACLE),
    'an orphan': of({ script: `(${SLEEP} &)` }, OBSTACLE),
    'a chain of processes, each in a session of its own': of(
      { script: `i=0; while [ $i -lt 400 ]; do setsid sleep 0.01 "$0"; i=$((i+1)); done & exec ${SLEEP}` },
      OBSTACLE,
    ),
    'a setuid program': {
      make: (env) => forger({ user: other, env, script: `exec ${setuidCopy('sleep')} 50 "$0"` }),
      obstacle: OBSTACLE,
      ids: OF_USERS,
    },
    'the user of the host, in another pid namespace': within(NAMESPACE),
    'the user of the host, in a container': within(CONTAINER),
    'the user of the host, in a container that shares the pids': {
      ...within(['unshare', ...OWN_PARTS]),
      ids: '[MARK-18] [PROOF-4]',
    },
    'a setuid program that becomes wholly the user of the host': {
      make: (env) => forger({ user: other, env, script: `exec ${raises(user)} "$0"`, command: RAISES }),
      obstacle: NO_SETUID,
      ids: OF_SETUID,
    },
    'what such a program has started': {
      make: (env) => forger({ user: other, env, script: `exec ${raises(user)} "$0" sleep 50 "$0"` }),
      obstacle: NO_SETUID,
      ids: OF_SETUID,
    },
    'root in a user namespace': of({ within: ['unshare', '--user', '--map-root-user'] }, NO_NAMESPACES),
    'root in a container that another user has made': of(
      { within: OWN_CONTAINER },
      OBSTACLE ?? NO_OWN_NAMESPACES,
      OF_CONTAINERS,
    ),
  } satisfies Record<string, Forgery>;
  if (user === 0) {
    const script = `echo ${MALLORY} >/proc/self/loginuid; exec ${SLEEP}`;
    return { ...ofAll, 'root, by sudo of another user': of({ user: 0, script }, NO_LOGIN) };
  }
  return {
    ...ofAll,
    root: of({ user: 0 }, OBSTACLE),
    'root in a container that the user of the host has made': of(
      { user, within: OWN_CONTAINER },
      NO_OWN_NAMESPACES,
      '[MARK-15]',
    ),
  };
}
