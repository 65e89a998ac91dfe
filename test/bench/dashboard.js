// A page of the dashboard beside 50 servers and 1,000 events a minute: whether it stays responsive and its memory flat.
//
//   npm run build
//   node test/bench/dashboard.js 10      minutes; needs Chromium and some 600 MB
//
// Not one of those that run.js runs: it takes ten minutes.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { benchmark } from './harness.js';

const SERVERS = 50;
const EVENTS_A_MINUTE = 1_000;
/** Two events for each lease. */
const VISIT_EVERY = (2 * 60_000) / EVENTS_A_MINUTE;
const MB = 1_048_576;
/** Slower than this a page feels slow, by the measure of browsers for it ("interaction to next paint"), ms. */
const RESPONSIVE = 200;

if (process.send) await host();
else await benchmark('dashboard', (report) => measure(Number(process.argv[2] ?? 10), report));

/** The process with the pool. It tells its address, then its memory whenever it is asked. */
async function host() {
  const { MCPServerPool } = await import('mcp-server-pool');
  const { serveDashboard } = await import('../../examples/dashboard/server/serve-dashboard.js');
  const program = fileURLToPath(new URL('../../examples/terminal-monitor/demo-server.js', import.meta.url));
  const definition = { command: process.execPath, args: [program], sharing: 'shared' };
  const names = Array.from({ length: SERVERS }, (_, index) => `server-${String(index + 1).padStart(2, '0')}`);
  const pool = new MCPServerPool({
    servers: Object.fromEntries(names.map((name) => [name, definition])),
    limits: { maxProcesses: SERVERS },
  });
  await pool.start();
  let events = 0;
  pool.onAny((event) => {
    if (event.startsWith('lease:')) events += 1;
  });
  const dashboard = await serveDashboard(pool);
  let visits = 0;
  const visit = async () => {
    const lease = await pool.getServer(names[visits++ % SERVERS]);
    setTimeout(() => lease.release(), 2_000);
  };
  const begin = performance.now();
  const timer = setInterval(() => {
    // A loaded machine makes timers late, but no events fewer.
    for (const due = (performance.now() - begin) / VISIT_EVERY; visits < due; ) void visit();
  }, VISIT_EVERY);
  // Also when the other process has failed.
  process.on('disconnect', async () => {
    clearInterval(timer);
    await dashboard.close();
    await pool.shutdown({ drainTimeout: 0 });
  });
  process.on('message', () => {
    globalThis.gc();
    process.send({ events, heap: process.memoryUsage().heapUsed, cpu: process.cpuUsage() });
  });
  process.send(dashboard.url);
}

async function measure(minutes, report) {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) throw new Error('there is no Chromium: apt-get install chromium');
  const { chromium } = await import('playwright-core');
  const child = fork(fileURLToPath(import.meta.url), { execArgv: ['--expose-gc'] });
  const [url] = await once(child, 'message');
  const browser = await chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
  const page = await browser.newPage();
  await page.goto(url);
  await page.getByRole('button', { name: 'server-50', exact: true }).waitFor();
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  await page.evaluate(watchLongTasks);
  const empty = await browser.newPage();
  await empty.setContent('<button class="toggle">a</button>');
  const look = async () => {
    // Before the garbage is collected, which also drops compiled code.
    const [clicks, emptyClicks] = [await page.evaluate(clickTimes), await empty.evaluate(clickTimes)];
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const metric = (name) => metrics.find((one) => one.name === name).value;
    child.send('look');
    const [{ events, heap, cpu }] = await once(child, 'message');
    return {
      at: performance.now(),
      page: metric('JSHeapUsedSize') / MB,
      nodes: metric('Nodes'),
      listeners: metric('JSEventListeners'),
      busy: metric('TaskDuration'),
      host: heap / MB,
      hostBusy: (cpu.user + cpu.system) / 1e6,
      events,
      clicks,
      emptyClicks,
    };
  };
  // Until lists and queues are full.
  await sleep(Math.min(60_000, minutes * 15_000));
  const looks = [await look()];
  for (const end = performance.now() + minutes * 60_000; performance.now() < end; ) {
    await sleep(minutes * 6_000);
    looks.push(await look());
    const { page: heap, nodes, listeners, host: hostHeap, events } = looks.at(-1);
    const figures = [heap.toFixed(1), hostHeap.toFixed(1), nodes, listeners, events];
    console.log(
      `page ${figures[0]} MB, host ${figures[1]} MB, ${nodes} nodes, ${listeners} listeners, ${events} events`,
    );
  }
  const longest = await page.evaluate(longestTask);
  await browser.close();
  child.disconnect();
  await once(child, 'exit');
  tell(looks, longest, report);
}

/** In the page. */
function watchLongTasks() {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
  }).observe({ type: 'longtask' });
}

function longestTask() {
  return window.longest;
}

/** In the page: ms from a click to the frame that shows what it has changed, a few times. */
async function clickTimes() {
  const times = [];
  for (let count = 0; count < 10; count++) {
    const begin = performance.now();
    document.querySelector('.toggle').click();
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    times.push(performance.now() - begin);
  }
  return times;
}

function tell(looks, longest, report) {
  const [first, last] = [looks[0], looks.at(-1)];
  const seconds = (last.at - first.at) / 1_000;
  const [clicks, emptyClicks] = [percentilesOf(looks, 'clicks'), percentilesOf(looks, 'emptyClicks')];
  const most = (field) => Math.max(...looks.map((look) => look[field]));
  const row = (what, value, target, pass) => report({ what, peer: '', value, target, pass, spread: '', note: '' });
  const rate = ((last.events - first.events) / seconds) * 60;
  row('events a minute', rate.toFixed(0), `≥ ${0.9 * EVENTS_A_MINUTE}`, rate >= 0.9 * EVENTS_A_MINUTE);
  row(
    'heap of the page, first and last',
    `${first.page.toFixed(1)}, ${last.page.toFixed(1)} MB`,
    '≤ 1 MB more',
    last.page - first.page <= 1,
  );
  row(
    'heap of the host, first and last',
    `${first.host.toFixed(1)}, ${last.host.toFixed(1)} MB`,
    '≤ 2 MB more',
    last.host - first.host <= 2,
  );
  row(
    'most nodes of the page, and first',
    `${most('nodes')}, ${first.nodes}`,
    '≤ 1.1×',
    most('nodes') <= 1.1 * first.nodes,
  );
  row(
    'most listeners, and first',
    `${most('listeners')}, ${first.listeners}`,
    '≤ 1.1×',
    most('listeners') <= 1.1 * first.listeners,
  );
  row(
    'a click until its frame, p50 and p95; in an empty page',
    `${clicks}; ${emptyClicks} ms`,
    `p95 ≤ ${RESPONSIVE} ms`,
    clicks[1] <= RESPONSIVE,
  );
  row('longest task of the page', `${longest.toFixed(0)} ms`, '', true);
  row(
    'CPU of the page, of a core',
    `${((100 * (last.busy - first.busy)) / seconds).toFixed(1)} %`,
    '≤ 20 %',
    (last.busy - first.busy) / seconds <= 0.2,
  );
  row(
    'CPU of the host, of a core',
    `${((100 * (last.hostBusy - first.hostBusy)) / seconds).toFixed(1)} %`,
    '≤ 20 %',
    (last.hostBusy - first.hostBusy) / seconds <= 0.2,
  );
}

/** p50 and p95, ms. */
function percentilesOf(looks, field) {
  const times = looks.flatMap((look) => look[field]).sort((a, b) => a - b);
  return [0.5, 0.95].map((share) => Math.round(times[Math.floor(times.length * share)]));
}
