import type { ProcessInfo } from '../helpers/processes.js';
import { killProcess, readProcess } from '../helpers/processes.js';
import { until } from '../helpers/until.js';
import type { ChaosHost } from './chaos-host.js';

/** A way in which a host, or the leases of its servers, end. */
interface End {
  /** Does it; resolves when it has happened. */
  readonly act: (host: ChaosHost) => Promise<void>;
  readonly handleSignals?: true;
  /** The host says itself that all is over: nothing may live from then on, not even for a moment. */
  readonly atOnce?: true;
  /** Nothing is left to clean up until the next host of this user makes its pool; `perhaps` when there may have been time. */
  readonly nextStart?: 'needed' | 'perhaps';
}

const signalled = (signal: NodeJS.Signals) => async (host: ChaosHost) => {
  host.signal(signal);
  await host.ended();
};

/** The columns of the matrix, but for the kill of a host that is starting servers: see `matrix.test.ts`. */
export const ENDS: Readonly<Record<string, End>> = {
  release: { act: (host) => host.does('release'), atOnce: true },
  shutdown: { act: (host) => host.does('shutdown'), atOnce: true },
  'emergency shutdown': { act: (host) => host.does('emergency'), atOnce: true },
  'process.exit()': { act: (host) => host.ends('exit') },
  'the host has nothing to do': { act: (host) => host.ends('have nothing to do') },
  'uncaught exception': { act: (host) => host.ends('throw') },
  'unhandled rejection': { act: (host) => host.ends('reject') },
  'SIGTERM that is handled': { act: signalled('SIGTERM'), handleSignals: true },
  'SIGINT that is handled': { act: signalled('SIGINT'), handleSignals: true },
  SIGTERM: { act: signalled('SIGTERM') },
  SIGINT: { act: signalled('SIGINT') },
  'SIGKILL of the host': { act: signalled('SIGKILL') },
  'SIGKILL of the guardian, then of the host when it has the next': {
    async act(host) {
      const first = await host.guardian();
      killProcess(first);
      await host.guardian(first);
      await signalled('SIGKILL')(host);
    },
  },
  'SIGKILL of the guardian, then of the host, then the next start': {
    async act(host) {
      const guardian = await host.guardian();
      killProcess(guardian);
      await until('the guardian is dead', () => isDead(guardian), { interval: 1 });
      await signalled('SIGKILL')(host);
    },
    nextStart: 'perhaps',
  },
  'SIGKILL of host and guardian together, then the next start': {
    async act(host) {
      const guardian = await host.guardian();
      // Stopped first: it would be quick enough to do its work between the two.
      process.kill(guardian.pid, 'SIGSTOP');
      host.signal('SIGKILL');
      killProcess(guardian);
      await host.ended();
    },
    nextStart: 'needed',
  },
};

function isDead({ pid, startTime }: ProcessInfo): boolean {
  const now = readProcess(pid);
  return now === undefined || now.zombie || now.startTime !== startTime;
}
