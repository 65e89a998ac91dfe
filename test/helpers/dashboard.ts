import { exampleProgram } from './example.js';
import { type RunningHost, startHost } from './host.js';
import { until } from './until.js';

/** What must not get to a page. */
export const SECRET = 'a-secret-of-this-test-8861';
/** What would be an element, if it were not text. */
export const MARKUP = '<img src=x onerror=alert(1)>';
/** Its rest must not get to a page. */
export const OWNER = 'session-0123456789-abcdef';

/**
 * A host with a dashboard. `alpha` is shared; `beta` and `delta` have a lease that is held; `gamma` fails, and writes a secret;
 * `eta` depends on `zeta`; one has markup for a name and a label. SIGUSR2 raises an alert; SIGURG makes 2,000 events, and then an
 * alert that counts how often it did so.
 */
const POOL = `
  const node = process.execPath;
  const server = (name, ...args) => ({ command: node, args: [FIXTURES + '/' + name + '.js', ...args] });
  const pool = new MCPServerPool({
    servers: {
      alpha: { ...server('echo'), sharing: 'shared', minIdle: 1, env: { API_KEY: SECRET } },
      beta: { ...server('echo'), maxInstances: 1 },
      delta: server('echo'),
      gamma: { command: node, args: ['-e', 'console.error(process.env.API_KEY); process.exit(3)'], env: { API_KEY: SECRET } },
      zeta: server('echo'),
      eta: { ...server('echo'), dependsOn: { zeta: { condition: 'healthy' } } },
      [MARKUP]: { ...server('echo'), label: MARKUP + ' label' },
    },
    monitoring: { interval: 500 },
    alerts: { for: 1_000 },
    handleSignals: true,
  });
  await pool.warm('alpha');
  await pool.getServer('beta', { owner: OWNER, tenant: 'north' });
  await pool.getServer('delta');
  await pool.getServer('gamma').catch(() => {});
  const test = { kind: 'breaker-open', subject: { part: 'test' }, severity: 'warning', message: 'a test', lasts: 60_000 };
  process.on('SIGUSR2', () => pool.alerts.raise(test));
  let floods = 0;
  process.on('SIGURG', async () => {
    for (let count = 0; count < 1_000; count++) (await pool.getServer('alpha')).release();
    floods += 1;
    const subject = { part: 'flood-' + floods };
    pool.alerts.raise({ ...test, subject, message: 'floods: ' + floods });
  });
  setInterval(() => pool.getServer('gamma', { timeout: 2_000 }).catch(() => {}), 1_500).unref();
`;

/** The path of the module that serves the page. */
export function dashboardModule(): string {
  return exampleProgram('dashboard/server/serve-dashboard.js');
}

/** Starts it. `url` is the address of its page. */
export async function startDashboard(options = '{}'): Promise<RunningHost & { readonly url: string }> {
  const host = startHost(`
    const { MCPServerPool } = await import(SRC + '/index.js');
    const { serveDashboard } = await import(${JSON.stringify(dashboardModule())});
    const [SECRET, MARKUP, OWNER] = ${JSON.stringify([SECRET, MARKUP, OWNER])};
    ${POOL}
    const { url } = await serveDashboard(pool, ${options});
    console.log(url);
  `);
  const url = await until('the address', () => /^http:\S+$/m.exec(host.stdout())?.[0]);
  return { ...host, url };
}
