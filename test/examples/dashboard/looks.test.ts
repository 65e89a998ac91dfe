import { describe, expect, it } from 'vitest';
import { openPage } from '../../helpers/chromium.js';
import { startDashboard } from '../../helpers/dashboard.js';
import {
  background,
  blurs,
  countBlurs,
  focusedName,
  hardToRead,
  nameless,
  pageWidth,
  smallButtons,
} from '../../helpers/in-page.js';
import { until } from '../../helpers/until.js';

const OTHER = { light: 'dark', dark: 'light' } as const;

describe('how the page looks', () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    it(`[DASHBOARD-7] ${colorScheme}: as the system or as chosen, every text can be read, every control has a name`, async (context) => {
      const { url } = await startDashboard();
      const { page } = await openPage(context, url, { colorScheme });
      await page.getByText('could not be started').first().waitFor();
      await page.getByRole('button', { name: 'beta', exact: true }).click();
      const before = await page.evaluate(background);
      expect(await page.evaluate(hardToRead)).toEqual([]);
      expect(await page.evaluate(nameless)).toEqual([]);
      await page.getByLabel('Theme').selectOption(OTHER[colorScheme]);
      expect(await page.evaluate(background)).not.toBe(before);
      expect(await page.evaluate(hardToRead)).toEqual([]);
      await page.reload();
      await until('what was chosen', async () => (await page.getByLabel('Theme').inputValue()) === OTHER[colorScheme]);
      expect(await page.evaluate(background)).not.toBe(before);
    });
  }

  it('[DASHBOARD-7] on a phone nothing has to be scrolled sideways, and buttons are large enough for a finger', async (context) => {
    const { url } = await startDashboard();
    const { page } = await openPage(context, url, {
      viewport: { width: 360, height: 740 },
      hasTouch: true,
      isMobile: true,
    });
    await page.getByText('could not be started').first().waitFor();
    await page.getByRole('button', { name: 'beta', exact: true }).tap();
    expect(await page.evaluate(pageWidth)).toBe(360);
    expect(await page.evaluate(smallButtons)).toEqual([]);
    await page.getByRole('button', { name: 'Restart beta' }).tap();
    const box = await page.getByRole('dialog').boundingBox();
    expect(box?.x).toBeGreaterThanOrEqual(0);
    expect((box?.x ?? 0) + (box?.width ?? 999)).toBeLessThanOrEqual(360);
  });

  it('[DASHBOARD-7] with the keyboard: the link to the servers is first; rows stay under the focus while figures change', async (context) => {
    const { url } = await startDashboard();
    const { page } = await openPage(context, url);
    await page.getByRole('button', { name: 'alpha', exact: true }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await page.evaluate(focusedName)).toBe('find');
    await page.getByRole('columnheader', { name: 'CPU' }).getByRole('button').press('Enter');
    const button = page.getByRole('button', { name: 'Restart gamma' });
    await button.focus();
    await button.evaluate(countBlurs);
    const log = page.getByRole('log');
    for (let round = 0; round < 3; round++) {
      const before = await log.textContent();
      await until('another picture', async () => (await log.textContent()) !== before);
    }
    expect(await page.evaluate(blurs)).toBe(0);
    // What changes many times a minute is not read aloud.
    expect(await log.getAttribute('aria-live')).toBe('off');
  });
});
