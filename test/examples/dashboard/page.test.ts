import type { Page } from 'playwright-core';
import { describe, expect, it, type TestContext } from 'vitest';
import { openPage } from '../../helpers/chromium.js';
import { MARKUP, SECRET, startDashboard } from '../../helpers/dashboard.js';
import { focusedName, isDrawn, isValid, sizes } from '../../helpers/in-page.js';
import { until } from '../../helpers/until.js';

/** Waits no longer than a test does: a loaded machine is no reason to fail. */
const PATIENCE = { timeout: 100_000 };

/** All of the page is on the screen: a browser does not render the text of what is not. */
const WHOLE = { viewport: { width: 1_300, height: 3_000 } };

async function open(context: TestContext) {
  const host = await startDashboard();
  const opened = await openPage(context, host.url, WHOLE);
  opened.page.setDefaultTimeout(PATIENCE.timeout);
  await opened.page.getByRole('button', { name: 'alpha', exact: true }).waitFor();
  return { ...opened, host };
}

/** The row of a server, as a text. */
const rowOf = (page: Page, name: string) =>
  page.getByRole('row').filter({ has: page.getByRole('button', { name, exact: true }) });
const focused = (page: Page) => page.evaluate(focusedName);

describe('the page', () => {
  it('[DASHBOARD-4] shows servers, figures, graphs, alerts, service levels and events, and follows them', async (context) => {
    const { page, faults, host } = await open(context);
    await until('the states', async () => /ready/.test(await rowOf(page, 'beta').innerText()));
    expect(await rowOf(page, 'beta').innerText()).toMatch(/ready\s+1 of 1\s+1\s+0/);
    await until('memory', async () => /\d+ MB/.test(await rowOf(page, 'alpha').innerText()));
    await page.getByText("server 'gamma' could not be started (SERVER_EXITED)").first().waitFor();
    await until('the alert in the title', async () => /^\(\d+\) Server pool$/.test(await page.title()));
    host.child.kill('SIGUSR2');
    await page.getByRole('status').filter({ hasText: 'New alert, warning: a test' }).waitFor();
    const graph = page.getByRole('img', { name: /^Memory in the last ten minutes: unique memory \d/ });
    await graph.waitFor();
    // Something is drawn.
    expect(await graph.locator('canvas').evaluate(isDrawn)).toBe(true);
    expect(await page.getByRole('row', { name: /^Availability/ }).innerText()).toMatch(/99\.9 %/);
    const log = page.getByRole('log', { name: 'Events' });
    const first = await log.locator('li').first().innerText();
    await until('a new event', async () => (await log.locator('li').first().innerText()) !== first);
    await page.getByLabel('Graphs of').selectOption('alpha');
    await page.getByRole('img', { name: /^Leases and queue in the last ten minutes: leases 0/ }).waitFor();
    expect(faults).toEqual([]);
  });

  it('[DASHBOARD-4] pauses, finds, sorts and opens', async (context) => {
    const { page } = await open(context);
    await page.getByRole('searchbox', { name: 'Find' }).first().fill('GAM');
    expect(await page.locator('#server-table .toggle').allInnerTexts()).toEqual(['gamma']);
    await page.getByText('1 of 7 servers').waitFor();
    await page.getByRole('searchbox', { name: 'Find' }).first().fill('');
    await page.getByRole('columnheader', { name: 'Leases' }).getByRole('button').click();
    expect(await page.getByRole('columnheader', { name: 'Leases' }).getAttribute('aria-sort')).toBe('descending');
    expect((await page.locator('#server-table .toggle').allInnerTexts())[0]).toBe('beta');
    await page.getByRole('button', { name: 'beta', exact: true }).click();
    const details = page.getByRole('region', { name: 'Instances' });
    expect(await details.innerText()).toContain('north');
    await page.getByLabel('Show').first().selectOption('leases and queue');
    await page.locator('#log b').filter({ hasText: 'queue:' }).first().waitFor();
    const events = await page.locator('#log b').allInnerTexts();
    expect(events.filter((event) => !/^(lease|queue|limit):/.test(event))).toEqual([]);

    await page.getByLabel('Show').first().selectOption('all');
    await page.getByRole('button', { name: 'Pause' }).click();
    expect(await page.getByRole('button', { name: 'Go on' }).getAttribute('aria-pressed')).toBe('true');
    const stopped = await page.locator('#log').innerText();
    // The host goes on meanwhile: it fails a start every 1.5 s.
    await page.getByLabel('What would end by').selectOption('a shutdown');
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByText(/process trees? would end/).waitFor();
    expect(await page.locator('#log').innerText()).toBe(stopped);
    await page.getByRole('button', { name: 'Go on' }).click();
    await until('news', async () => (await page.locator('#log').innerText()) !== stopped);
  });

  it('[DASHBOARD-5] restarts, drains and resumes a server by the keyboard alone, after a question', async (context) => {
    const { page } = await open(context);
    const details = page.getByRole('region', { name: 'Instances' });
    await page.getByRole('button', { name: 'alpha', exact: true }).press('Enter');
    const pid = await details.getByRole('cell').first().innerText();
    await page.getByRole('button', { name: 'Restart alpha' }).press('Enter');
    await page.getByRole('dialog', { name: 'Restart alpha?' }).waitFor();
    expect(await page.getByRole('dialog').innerText()).toContain(`pid ${pid}`);
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await until('the focus is back', async () => (await focused(page)) === 'Restart alpha');
    expect(await details.getByRole('cell').first().innerText()).toBe(pid);

    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).press('Enter');
    await page.getByText('alpha was restarted').first().waitFor();
    await until('the focus is back', async () => (await focused(page)) === 'Restart alpha');
    await until('another process', async () => {
      const cells = details.getByRole('cell');
      return (await cells.count()) > 0 && (await cells.first().innerText()) !== pid;
    });

    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Drain alpha');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Drain alpha?' }).getByRole('button', { name: 'Drain' }).press('Enter');
    await page.getByText('alpha is drained: none of its processes is left').first().waitFor();
    await until('its state', async () => /drained/.test(await rowOf(page, 'alpha').innerText()));
    await page.getByRole('button', { name: 'Resume alpha' }).press('Enter');
    await page.getByText('alpha serves again').first().waitFor();
    await until('it runs', async () => /ready/.test(await rowOf(page, 'alpha').innerText()));
  });

  it('[DASHBOARD-5] waits for leases, or takes them back, as asked; says what goes wrong', async (context) => {
    const { page } = await open(context);
    const dialog = page.getByRole('dialog');
    const drain = async (name: string, wait: string) => {
      await page.getByRole('button', { name: `Drain ${name}` }).click();
      await dialog.getByLabel('Leases that it must wait for').selectOption(wait);
      await dialog.getByRole('button', { name: 'Drain' }).click();
    };
    await drain('delta', 'take them back now');
    await page.getByText('delta is drained').first().waitFor();
    await drain('beta', 'wait until they are released');
    await page.getByText('it is under way').first().waitFor();
    await until('its state', async () => /draining/.test(await rowOf(page, 'beta').innerText()));
    await page.getByRole('button', { name: 'Resume beta' }).click();
    await page.getByText('beta serves again').first().waitFor();
    // The drain still waits for the lease on the old process.
    await page.getByRole('button', { name: 'Restart beta' }).click();
    await dialog.getByRole('button', { name: 'Restart' }).click();
    await dialog.getByText('a restart or drain of beta is not over').waitFor();
    await page.keyboard.press('Escape');

    await page.getByRole('button', { name: 'Restart alpha' }).click();
    await dialog.waitFor();
    expect(await dialog.getByLabel('Leases that it must wait for').isVisible()).toBe(false);
    await page.keyboard.press('Escape');
  });

  it('[DASHBOARD-4] shows in which order servers start; a restart of one can take along what depends on it', async (context) => {
    const { page } = await open(context);
    const waves = page.getByRole('region', { name: 'Order of the start' }).getByRole('listitem');
    expect(await waves.filter({ hasText: 'Wave 1' }).innerText()).toMatch(/alpha.*zeta/s);
    expect(await waves.filter({ hasText: 'Wave 2' }).innerText()).toMatch(/^Wave 2\s+eta ○ not running\s*after zeta$/);
    const dialog = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Drain zeta' }).click();
    await dialog.getByRole('button', { name: 'Drain' }).click();
    await dialog.getByRole('alert').filter({ hasText: 'eta' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Restart zeta' }).click();
    await dialog.getByLabel('Restart what depends on it, too').check();
    await dialog.getByRole('button', { name: 'Restart' }).click();
    await page.getByText('zeta was restarted').first().waitFor();
    await page.getByRole('button', { name: 'Restart alpha' }).click();
    await dialog.waitFor();
    expect(await dialog.getByRole('checkbox').isVisible()).toBe(false);
  });

  it('[DASHBOARD-5] acknowledges an alert, with a name', async (context) => {
    const { page } = await open(context);
    await page.getByRole('button', { name: /^Acknowledge: server 'gamma' could not be started/ }).click();
    const dialog = page.getByRole('dialog', { name: 'Acknowledge this alert?' });
    await dialog.getByRole('button', { name: 'Acknowledge' }).click();
    // The browser asks for the name.
    expect(await dialog.getByLabel('Your name').evaluate(isValid)).toBe(false);
    await dialog.getByLabel('Your name').fill('Ada <b>Lovelace</b>');
    await dialog.getByLabel('Your name').press('Enter');
    await page.getByText('Ada <b>Lovelace</b> works on it').waitFor();
  });

  it('[DASHBOARD-6] shows markup as text, runs no script of it, and has no secret', async (context) => {
    const { page, faults } = await open(context);
    await page.getByRole('button', { name: `${MARKUP} label`, exact: true }).click();
    expect(await page.locator('#server-table dl').filter({ visible: true }).innerText()).toContain(MARKUP);
    await page.getByLabel('Graphs of').selectOption(`${MARKUP} label`);
    await page.getByRole('button', { name: `Restart ${MARKUP} label` }).click();
    await page.getByRole('dialog', { name: `Restart ${MARKUP} label?` }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('SERVER_EXITED').first().waitFor();
    expect(await page.locator('img, script:not([src])').count()).toBe(0);
    expect(await page.content()).not.toContain(SECRET);
    expect(faults).toEqual([]);
  });

  it('[DASHBOARD-10] keeps no more elements, however many events come', async (context) => {
    const { page, host } = await open(context);
    /** 2,000 events, and then an alert with the number of the flood. */
    const flood = async (number: number) => {
      host.child.kill('SIGURG');
      await page.getByText(`floods: ${number}`).first().waitFor();
      return page.evaluate(sizes);
    };
    const first = await flood(1);
    expect(first.lines).toBe(150);
    await flood(2);
    const last = await flood(3);
    expect(last.lines).toBe(150);
    // Instances, alerts and levels come and go.
    expect(last.elements).toBeLessThan(first.elements + 150);
  });

  it('[DASHBOARD-9] says that the host is lost, goes on when it is back, and says when it is another one', async (context) => {
    const token = 'x'.repeat(40);
    const first = await startDashboard(`{ token: '${token}' }`);
    const { page } = await openPage(context, first.url, WHOLE);
    page.setDefaultTimeout(PATIENCE.timeout);
    const banner = page.getByRole('alert').first();
    await page.getByRole('button', { name: 'alpha', exact: true }).click();
    const pid = page.getByRole('region', { name: 'Instances' }).getByRole('cell').first();
    const before = await pid.innerText();
    first.child.kill('SIGTERM');
    await banner.filter({ hasText: 'The host does not answer' }).waitFor();
    await first.result;

    const { port } = new URL(first.url);
    const second = await startDashboard(`{ token: '${token}', port: ${port} }`);
    await banner.waitFor({ state: 'hidden' });
    await until('the process of now', async () => (await pid.innerText()) !== before);
    second.child.kill('SIGTERM');
    await second.result;
    await startDashboard(`{ port: ${port} }`);
    await banner.filter({ hasText: 'The host refuses this page' }).waitFor();
  });
});
