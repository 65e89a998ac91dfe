import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatStatus,
  type InstanceStatus,
  MCPServerPool,
  PoolError,
  type PoolStatus,
  type ServerStatus,
} from '../../../src/index.js';
import { LEVELS } from '../../../src/monitor/level.js';
import { widthOf } from '../../../src/pool/display/text-width.js';

const instance = (given: Partial<InstanceStatus> = {}) =>
  ({
    ...{ id: 'mcp-1-1', pid: 1, state: 'ready', waitsForTurn: false, leases: 0, tenant: undefined, owner: undefined },
    ...{ startedAt: 0, uses: 0, openRequests: 0, skippedLines: 0, unmatchedAnswers: 0, dropped: [] },
    ...{ containment: 'markers', memoryMB: undefined, cpuPercent: undefined, treeProcesses: undefined },
    health: undefined,
    ...given,
  }) as InstanceStatus;

const server = (given: Partial<ServerStatus> = {}) =>
  ({
    ...{ defined: true, label: undefined, sharing: 'exclusive', maxInstances: 3, instances: [], idle: 0, waiting: 0 },
    ...{ lastFailure: undefined, breakers: [] },
    ...given,
  }) as ServerStatus;

const status = (servers: Record<string, ServerStatus>, given: Partial<PoolStatus> = {}): PoolStatus =>
  ({
    ...{ state: 'open', level: 'normal', processes: 3, maxProcesses: 15, maxProcessesFrom: 'option', idle: 1 },
    ...{ leases: 2, waiting: 0, startsWaiting: 0, containment: undefined, alerts: [], servers },
    ...given,
  }) as PoolStatus;

const alert = (given: object = {}) => ({
  ...{
    kind: 'unresponsive',
    severity: 'critical',
    subject: { name: 'files' },
    message: 'it does not answer',
    since: 0,
  },
  ...given,
});

const ESCAPE = '\u001b';
const COLORS = new RegExp(`${ESCAPE}\\[\\d+m`, 'g');
const lines = (text: string) => text.split('\n');
/** The words of the line of a server. */
const rowOf = (name: string, text: string) =>
  lines(text)
    .find((line) => line.startsWith(name))
    ?.split(/ +/) ?? [];

const EXAMPLE = status(
  {
    files: server({
      instances: [
        instance({ leases: 1, memoryMB: 210.4, cpuPercent: 12, treeProcesses: 3, health: 'busy' }),
        instance({ state: 'starting', memoryMB: 30, cpuPercent: 0, treeProcesses: 1 }),
      ],
    }),
    notes: server({
      label: 'メモ帳',
      instances: [instance({ leases: 1, memoryMB: 60, treeProcesses: 1, health: 'healthy' })],
    }),
    'a-server-with-a-long-name': server({ lastFailure: 'it exited', waiting: 2 }),
  },
  { level: 'warning', alerts: [alert()] as never },
);

describe('a status as text', () => {
  it('[DISPLAY-3] is aligned at 80 columns, with all columns', () => {
    expect(lines(formatStatus(EXAMPLE))).toEqual([
      'pool open  level warning  trees 3/15  idle 1  leases 2  waiting 0',
      '',
      'SERVER       STATE       TREES PROC         MEM         CPU LEASE WAIT HEALTH',
      'files        ready         2/3    4 █████  240M █░░░░   12%     1    0 busy',
      'メモ帳       ready         1/3    1 █░░░░   60M ░░░░░     -     1    0 healthy',
      'a-server-wi… failed        0/3    - ░░░░░     - ░░░░░     -     0    2 -',
      '',
      'ALERTS 1',
      'critical unresponsive  files  it does not answer',
    ]);
  });

  it.each([79, 60, 40, 20, 12, 5, 1])('[DISPLAY-1] has fewer columns in a terminal of %i', (width) => {
    const text = formatStatus(EXAMPLE, { width });
    for (const line of lines(text)) expect(widthOf(line)).toBeLessThanOrEqual(width);
    // The name is last to go.
    expect(text).toContain(width >= 5 ? 'file' : '…');
    expect(text).not.toContain('░');
  });

  it('[DISPLAY-1] leaves columns out in the order that the documentation says', () => {
    const head = (width: number) => lines(formatStatus(EXAMPLE, { width }))[2]?.split(/ +/) ?? [];
    const titles = head(80).slice(1);
    expect(titles).toHaveLength(8);
    const gone: string[] = [];
    for (let width = 79; width > 0; width--)
      gone.push(...titles.filter((title) => !gone.includes(title) && !head(width).includes(title)));
    expect(gone).toEqual(['PROC', 'WAIT', 'TREES', 'CPU', 'MEM', 'LEASE', 'HEALTH', 'STATE']);
  });

  it('[DISPLAY-1] gives names, then bars, what a wide terminal has', () => {
    const wide = lines(formatStatus(EXAMPLE, { width: 120 }));
    expect(wide[5]).toMatch(/^a-server-with-a-long-name /);
    expect(wide[3]).toMatch(/█{10,}/);
    // A terminal of a wall has no wider table.
    const [widest] = lines(formatStatus(EXAMPLE, { width: 1_000_000 }))
      .map((line) => line.length)
      .sort((a, b) => b - a);
    expect(widest).toBeLessThan(150);
  });

  it.each<[string, ServerStatus]>([
    ['quarantined', server({ instances: [instance(), instance({ state: 'quarantined' })] })],
    ['refused', server({ instances: [instance()], breakers: [{ tenant: 'a', state: 'open' } as never] })],
    [
      'ready',
      server({ instances: [instance({ state: 'starting' }), instance()], breakers: [{ state: 'closed' } as never] }),
    ],
    ['starting', server({ instances: [instance({ state: 'stopping' }), instance({ state: 'starting' })] })],
    ['stopping', server({ instances: [instance({ state: 'stopping' })], defined: false })],
    ['removed', server({ defined: false, lastFailure: 'x' })],
    ['failed', server({ lastFailure: 'x' })],
    ['no', server()],
  ])('[DISPLAY-3] says first what an operator should know: %s', (state, one) => {
    expect(rowOf('one', formatStatus(status({ one })))[1]).toBe(state);
  });

  it('[DISPLAY-3] shows the health of the worst instance', () => {
    const of = (...all: InstanceStatus['health'][]) => {
      const instances = all.map((health) => instance({ health }));
      return rowOf('one', formatStatus(status({ one: server({ instances }) }))).at(-1);
    };
    expect([of('healthy', 'unhealthy'), of('degraded', 'busy'), of('busy', 'healthy'), of(undefined)]).toEqual([
      'unhealthy',
      'degraded',
      'busy',
      '-',
    ]);
  });

  it.each([
    [0.4, '0M'],
    [9_999.4, '9999M'],
    [9_999.5, '10G'],
    [2_000_000, '1953G'],
  ])('[DISPLAY-3] shows %i MB as %s', (memoryMB, shown) => {
    const text = formatStatus(status({ one: server({ instances: [instance({ memoryMB })] }) }), { width: 79 });
    expect(text).toContain(` ${shown} `);
  });

  it('[DISPLAY-3] shows limits that are none, starts that wait, and a pool without servers', () => {
    const text = formatStatus(
      status({ one: server({ maxInstances: Infinity }) }, { maxProcesses: Infinity, startsWaiting: 4 }),
    );
    expect(text).toContain('trees 3/∞ ');
    expect(text).toContain('waiting 0 (and 4 starts)');
    expect(text).toContain(' 0/∞ ');
    expect(formatStatus(status({}))).toContain('no server is defined');
  });

  it('[DISPLAY-1] shows ten alerts, and how many there are', () => {
    const alerts = Array.from({ length: 12 }, (_, index) => alert({ subject: { name: `s${index}` } }));
    const text = formatStatus(status({}, { alerts } as never));
    expect(text).toContain('ALERTS 12');
    expect(text).toContain('s9');
    expect(text).not.toContain('s10');
    expect(lines(text).at(-1)).toBe('… and 2 more');
  });

  it('[DISPLAY-2] has colors only when asked', () => {
    const colored = formatStatus(EXAMPLE, { color: true });
    expect(colored).toMatch(COLORS);
    expect(colored.replace(COLORS, '')).toBe(formatStatus(EXAMPLE));
    // Each ends before the next line begins.
    for (const line of lines(colored))
      expect(line.match(COLORS)?.length ?? 0).toBe(2 * (line.split(`${ESCAPE}[0m`).length - 1));
  });

  it.each([{ width: 0 }, { width: 80.5 }, { width: '80' }, { color: 'yes' }, { columns: 80 }])(
    '[OPT-1] refuses %o',
    (options) => {
      expect(() => formatStatus(EXAMPLE, options as never)).toThrow(PoolError);
    },
  );

  it('[DISPLAY-3] is made of what a pool says of itself', async () => {
    const pool = new MCPServerPool({ servers: { files: { command: 'node' } } });
    expect(rowOf('files', formatStatus(pool.status())).slice(0, 4)).toEqual(['files', 'no', 'process', '0/3']);
    await pool.shutdown();
    expect(formatStatus(pool.status())).toMatch(/^pool closed /);
  });
});

describe('any status as text', () => {
  const text = () => fc.string({ unit: 'binary', maxLength: 60 });
  const figure = () => fc.option(fc.oneof(fc.double(), fc.nat(100_000)), { nil: undefined });
  const anyInstance = () =>
    fc
      .record({
        state: fc.constantFrom('starting', 'ready', 'stopping', 'quarantined', 'stopped'),
        health: fc.constantFrom(undefined, 'healthy', 'busy', 'degraded', 'unhealthy'),
        leases: fc.nat(),
        memoryMB: figure(),
        cpuPercent: figure(),
        treeProcesses: figure(),
      })
      .map((given) => instance(given as never));
  const anyServer = () =>
    fc
      .record({
        defined: fc.boolean(),
        label: fc.option(text(), { nil: undefined }),
        lastFailure: fc.option(text(), { nil: undefined }),
        maxInstances: fc.oneof(fc.nat(), fc.constant(Infinity)),
        waiting: fc.nat(),
        breakers: fc.array(fc.record({ state: fc.constantFrom('open', 'half-open', 'closed') }), { maxLength: 2 }),
        instances: fc.array(anyInstance(), { maxLength: 4 }),
      })
      .map((given) => server(given as never));
  const anyAlert = () =>
    fc
      .record({
        severity: fc.constantFrom('info', 'warning', 'critical'),
        subject: fc.record({ name: text(), part: text() }, { requiredKeys: [] }),
        message: text(),
      })
      .map(alert);
  const anyStatus = () =>
    fc
      .record({
        level: fc.constantFrom(...LEVELS),
        processes: fc.nat(),
        maxProcesses: fc.oneof(fc.nat(), fc.constant(Infinity)),
        waiting: fc.nat(),
        startsWaiting: fc.nat(),
        alerts: fc.array(anyAlert(), { maxLength: 12 }),
        servers: fc.dictionary(text(), anyServer(), { maxKeys: 5 }),
      })
      .map(({ servers, ...given }) => status(servers, given as never));

  it('[DISPLAY-1] [DISPLAY-2] fits into its terminal, and has nothing else than text', () => {
    fc.assert(
      fc.property(anyStatus(), fc.integer({ min: 1, max: 200 }), (any, width) => {
        const plain = formatStatus(any, { width });
        for (const line of lines(plain)) {
          expect(widthOf(line)).toBeLessThanOrEqual(width);
          expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
          expect(line).toBe(line.trimEnd());
        }
        expect(formatStatus(any, { width, color: true }).replace(COLORS, '')).toBe(plain);
      }),
    );
  });
});
