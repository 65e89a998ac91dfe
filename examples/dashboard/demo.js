import { servers as others, startTraffic as startVisits } from '../terminal-monitor/demo.js';

const { command, args } = others.notes;
const [program] = args;
const demo = (...more) => ({ command, args: [program, ...more] });

/**
 * The servers of the demo: those of the terminal monitor, and more of the same program, so that there is an order, a queue, and
 * something wrong to look at.
 */
export const servers = {
  ...others,
  // A name for people.
  notes: { ...others.notes, label: 'My notes' },
  // One process for many callers: some have to wait.
  mail: { ...demo('--memory=20'), dependsOn: ['notes'], maxInstances: 1, reuse: 'tenant' },
  web: { ...demo('--work=10'), dependsOn: ['search'], sharing: 'shared' },
  agent: { ...demo(), dependsOn: ['web', 'mail'] },
  // It ends at once, so that the page has a failure, a breaker and an alert to show.
  broken: {
    command,
    args: ['-e', 'console.error("this server of the demo always fails"); process.exit(3)'],
    autoStart: false,
  },
};

const VISITS = ['mail', 'web', 'web', 'web', 'mail', 'web', 'broken', 'web'];

/** Clients that come and go. Returns a function that ends it. */
export function startTraffic(pool) {
  const stop = startVisits(pool);
  const visit = async (name) => {
    const lease = await pool.getServer(name, { timeout: 8_000, owner: `session-${crypto.randomUUID()}` });
    setTimeout(() => lease.release(), 500 + Math.random() * 3_000).unref();
  };
  let visits = 0;
  const timer = setInterval(() => {
    visits += 1;
    // A client that gets no server goes. That of `broken` is one of them.
    visit(VISITS[visits % VISITS.length]).catch(() => {});
  }, 600);
  return () => {
    stop();
    clearInterval(timer);
  };
}
