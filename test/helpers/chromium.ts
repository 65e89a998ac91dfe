import { existsSync } from 'node:fs';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { onTestFinished, type TestContext } from 'vitest';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A page in a browser, and what went wrong in it: errors of scripts, and what the content security policy has refused. */
export interface OpenPage {
  readonly page: Page;
  readonly faults: readonly string[];
}

/** The program; undefined where none is installed. */
function findChromium(): string | undefined {
  return [process.env.CHROMIUM ?? '', ...PLACES].find((path) => path !== '' && existsSync(path));
}

/** Opens a page in a headless Chromium of this test alone. Skips the test where there is no Chromium. */
export async function openPage(
  context: TestContext,
  url: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const browser = await launch(context);
  const page = await (await browser.newContext(options)).newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  await page.goto(url);
  return { page, faults };
}

async function launch(context: TestContext): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) return context.skip('there is no Chromium: apt-get install chromium');
  // Imported only here: it takes a second to load.
  const { chromium } = await import('playwright-core');
  // Chromium refuses to run as root with its sandbox.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath, args });
  onTestFinished(() => browser.close());
  return browser;
}
