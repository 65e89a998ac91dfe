import type { PoolErrorCode } from '../../src/index.js';

/** What to do about each error, by the part that it comes from. A code that is missing fails the test of docs/errors.md. */
export const ERROR_ADVICE: Readonly<Record<string, Partial<Record<PoolErrorCode, string>>>> = {
  'Calls and options': {
    INVALID_OPTIONS: 'Correct what `data.problems` lists; each says what to write. Sending it again changes nothing.',
    NOT_SUPPORTED: 'The message says what this version or system lacks. Leave the option out, or use another one.',
    UNKNOWN_SERVER: 'Check the name; the message has the nearest one. `pool.hasServer(name)` asks first.',
    POOL_CLOSED: 'Make a new pool. `MCPServerPool.global()` and the drop-in make one themselves.',
  },
  'Getting a server': {
    ACQUIRE_TIMEOUT:
      'The message says what the call waited for, and which option would have helped: [how to find out](troubleshooting.md#acquire_timeout-on-every-call). In the phase `start` the server starts on, so a later call gets it.',
    ACQUIRE_ABORTED: 'Nothing, if the host wanted it: the session is gone.',
    QUEUE_FULL:
      'Refuse the session for now (HTTP 503), and try later. Raise `maxInstances` or `limits.maxProcesses`; `maxWaiting` only makes the queue longer.',
    OVERLOADED:
      'Try again when [the level](monitoring.md) is lower: the message has the figure and its threshold. `pool.status().level` shows it.',
    REQUIREMENTS_UNMET: "Free what `data.unmet` names, or lower `requires`. `onUnmet: 'wait'` waits for it instead.",
    DEPENDENCY_FAILED: 'See `cause`: it is the error of the server or step `data.name`. Mend that one first.',
    BREAKER_OPEN:
      'See `cause` and `data.stderrTail`: why it failed. Mend that, then `resetBreaker(name)` or `restart(name)`, or wait for `restart.cooldown` ([more](troubleshooting.md#a-server-is-refused-with-breaker_open)). `data` has what that of the last failure has, too.',
  },
  'Starting a server': {
    COMMAND_NOT_FOUND:
      'Install it, or write an absolute path. A pool has the PATH of its host, not that of your shell ([why](troubleshooting.md#it-works-in-a-shell-but-not-in-the-pool)).',
    COMMAND_NOT_EXECUTABLE: '`chmod +x` the file, or name its interpreter as `command`.',
    CWD_NOT_FOUND: 'Create the folder, or correct `cwd`. `~` is not replaced.',
    SPAWN_FAILED:
      '`data.errno` says why: `E2BIG` too long arguments or variables, `EMFILE` too many open files of the host, `EAGAIN` too many processes. Without one the message does.',
    CONTAINMENT_UNAVAILABLE:
      'This host or user cannot do what `containment`, `rlimits`, `noNewPrivileges` or `cgroupLimits` ask for: the message says what is missing ([what needs what](termination.md)).',
    START_TIMEOUT:
      'See `data.stderrTail` and `data.dropped`. A slow first start by npx: [prefetch()](packages.md), or raise `startTimeout`. Else check that the command is an MCP server on stdio.',
    HANDSHAKE_FAILED:
      'The message has what the server answered. Check `args`; an old server may need `protocolVersion`.',
  },
  'While a server is in use': {
    SERVER_EXITED:
      'See `data.stderrTail` and the message, which quotes the line that says why. Call `getServer()` again; after several failures the breaker opens.',
    SERVER_STOPPED: 'Nothing is wrong: call `getServer()` again. The message says why the pool has ended it.',
    SERVER_UNRESPONSIVE:
      'Call `getServer()` again. If it happens often, the server blocks on long calls: see [health](health.md), `giveUpGrace` and `maxInFlight`.',
    LIMIT_EXCEEDED:
      'Raise the option `data.option` if the server needs that much. Else look for a [leak](monitoring.md#leaks).',
    MESSAGE_TOO_LARGE:
      'Raise `maxMessageMB`, or ask for less: the server was ended, since what follows cannot be read.',
    REQUEST_TIMEOUT:
      'Raise `requestTimeout` for slow tools. It stands in `data.reason` of a JSON-RPC error, see below.',
    BUFFER_FULL: 'Await answers before you send more. If the server never reads, `health` finds it.',
    LEASE_RELEASED: 'A message came after `release()` or `client.close()`. Get another lease with `getServer()`.',
    LEASE_RECLAIMED:
      'It was silent for `leaseIdleTimeout` while others waited, or a drain was over. Release leases earlier, or raise the time.',
  },
  'Transports alone': {
    ALREADY_STARTED: 'Leave `start()` out: `client.connect()` calls it.',
    NOT_CONNECTED: 'Call `client.connect()` first, and send nothing after `close()`.',
    INVALID_MESSAGE: 'The server prints to stdout what belongs on stderr; tell its authors. The line was skipped.',
  },
  Waiting: {
    WAIT_TIMEOUT: 'Raise `timeout`, or check `filter`: events before the call do not count.',
    WAIT_ABORTED: 'Nothing, if the host wanted it.',
  },
  'Sequences and steps': {
    STEP_FAILED: 'See `cause`: what a function of the step has thrown.',
    STEP_EXITED: 'See `cause`, if it says why. `retries` of the step starts it again ([how](sequences.md)).',
    STEP_TIMEOUT: 'Raise `timeout` of the step, or `shutdownTimeout`; or mend what hangs.',
    SEQUENCE_TIMEOUT:
      'The message names the steps that were not ready. Raise `timeout`, or see `status()` for what each waits for.',
    SEQUENCE_ABORTED: 'Nothing, if the host wanted it. `cause` is the reason of its signal.',
  },
  Lanes: {
    LANE_UNAVAILABLE: 'Give `folder` a path that only this user can reach ([who meets](lanes.md#who-meets)).',
    LANE_NESTED: 'Start the command directly, or in another lane.',
    LANE_ABORTED: 'Nothing was started. Nothing to do, if the host wanted it.',
  },
  'A fault of this library': {
    INTERNAL_ERROR: 'Please report it with its `cause`. The server was ended, other servers go on.',
  },
};
