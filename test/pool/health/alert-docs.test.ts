import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ALERT_KINDS } from '../../../src/config/alert.js';
import { AlertManager, type AlertNotification } from '../../../src/index.js';
import { RULES } from '../../../src/pool/health/alert-rules.js';
import { hang } from '../../helpers/alerts.js';

const page = readFileSync(new URL('../../../docs/alerts.md', import.meta.url), 'utf8');

/** The cells of the rows of the first table below a heading. */
function rowsOf(heading: string): string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const codes = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);

type Recipe = (notification: AlertNotification, signal: AbortSignal) => Promise<unknown>;

/** The recipes, with what they need of the world outside. */
function recipes(world: { fetch: unknown; nodemailer: unknown; env: Record<string, string> }): Record<string, Recipe> {
  const section = page.slice(page.indexOf('## Recipes'), page.indexOf('## Without a pool'));
  const blocks = [...section.matchAll(/```js\n(.*?)```/gs)].map(([, code = '']) => code.replace(/^import .*$/gm, ''));
  const code = `${blocks.join('\n')}\nreturn { slack, pagerDuty, email };`;
  return new Function('fetch', 'nodemailer', 'process', code)(world.fetch, world.nodemailer, { env: world.env });
}

describe('docs/alerts.md', () => {
  it('[ALERT-11] has each event that raises or resolves an alert, and no other', () => {
    const rows = rowsOf('What raises what');
    const named = rows.flatMap(([event = '', , , , end = '']) => codes(`${event} ${end}`));
    expect(new Set(named.filter((code) => code.includes(':')))).toEqual(new Set(Object.keys(RULES)));
    expect(new Set(rows.flatMap(([, kind = '']) => codes(kind)))).toEqual(new Set(ALERT_KINDS));
  });

  it('[ALERT-11] has recipes that tell what an alert says, and that fail when they could not', async () => {
    const calls: { url: string; body: Record<string, unknown>; signal: AbortSignal }[] = [];
    const mails: Record<string, string>[] = [];
    let status = 202;
    const fetch = async (url: string, init: { body: string; signal: AbortSignal }) => {
      calls.push({ url, body: JSON.parse(init.body), signal: init.signal });
      return { ok: status < 300, status };
    };
    const nodemailer = {
      createTransport: (url: string) => ({ sendMail: (mail: object) => mails.push({ ...mail, url }) }),
    };
    const env = {
      ...{ SLACK_WEBHOOK_URL: 'https://slack.example', PAGERDUTY_ROUTING_KEY: 'key', SMTP_URL: 'smtp://mail.example' },
      ...{ ALERT_FROM: 'pool@example.com', ALERT_TO: 'ada@example.com' },
    };
    const { slack, pagerDuty, email } = recipes({ fetch, nodemailer, env });
    const alerts = new AlertManager({ for: 0 });
    alerts.raise(hang({ message: 'it hangs', action: 'look at it' }));
    const [alert] = alerts.active();
    alerts.close();
    if (alert === undefined) throw new Error('there is no alert');
    const { signal } = new AbortController();
    const notification = { reason: 'raised', tier: 1, suppressed: 0, alert } as const;
    await slack?.(notification, signal);
    await pagerDuty?.(notification, signal);
    for (const reason of ['resolved', 'closed', 'displaced'] as const)
      await pagerDuty?.({ ...notification, reason }, signal);
    await email?.(notification, signal);
    expect(calls).toMatchObject([
      {
        url: 'https://slack.example',
        body: { text: expect.stringMatching(/^raised: it hangs \(warning, 1 times, alert-.*\)\nlook/) },
      },
      {
        url: 'https://events.pagerduty.com/v2/enqueue',
        body: {
          ...{ routing_key: 'key', event_action: 'trigger', dedup_key: alert.id },
          payload: { summary: 'it hangs', severity: 'warning', source: 'files' },
        },
      },
      ...Array.from({ length: 3 }, () => ({ body: { event_action: 'resolve', dedup_key: alert.id } })),
    ]);
    expect(calls.every((call) => call.signal === signal)).toBe(true);
    expect(mails).toMatchObject([
      { url: 'smtp://mail.example', to: 'ada@example.com', subject: '[warning] raised: it hangs' },
    ]);
    status = 500;
    await expect(slack?.(notification, signal)).rejects.toThrow('HTTP 500');
    await expect(pagerDuty?.(notification, signal)).rejects.toThrow('HTTP 500');
  });
});
