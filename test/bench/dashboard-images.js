// Makes the pictures of docs/dashboard.md, from the demo. Needs Chromium. Look at them before you keep them.
//
//   npm run build
//   node test/bench/dashboard-images.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const desktop = { viewport: { width: 1_200, height: 760 } };
const PICTURES = [
  ['light', { ...desktop, colorScheme: 'light' }],
  ['dark', { ...desktop, colorScheme: 'dark' }],
  ['phone', { viewport: { width: 390, height: 844 }, colorScheme: 'light', isMobile: true, hasTouch: true }],
];
/** Until the graphs show something, ms. */
const WARM_UP = 100_000;

const demo = spawn(process.execPath, [path('examples/dashboard/index.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
const [output] = await once(demo.stdout.setEncoding('utf8'), 'data');
const [url] = /http:\S+/.exec(output);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid() === 0 ? ['--no-sandbox'] : [],
});
await sleep(WARM_UP);
for (const [name, options] of PICTURES) {
  const page = await (await browser.newContext(options)).newPage();
  await page.goto(url);
  await page.getByRole('button', { name: 'agent', exact: true }).waitFor();
  // Two pictures of the pool: the first has no events yet.
  await sleep(3_000);
  if (name === 'dark') {
    await page.getByRole('button', { name: 'mail', exact: true }).click();
    await page.locator('#servers').evaluate((section) => section.scrollIntoView());
  }
  await page.screenshot({ path: path(`docs/images/dashboard-${name}.png`) });
  await page.close();
}
await browser.close();
demo.kill('SIGINT');
await once(demo, 'exit');
