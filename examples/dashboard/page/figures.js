import { byId, make, setAttribute, setText } from './dom.js';
import { count, duration, megabytes, percent } from './format.js';

const VERDICTS = { ok: 'good', degraded: 'warn', down: 'bad' };
const worst = (alerts) => {
  if (alerts.some(({ severity }) => severity === 'critical')) return 'bad';
  return alerts.length > 0 ? 'warn' : 'good';
};

const listOf = (names) => [...names.slice(0, 3), ...(names.length > 3 ? [`${names.length - 3} more`] : [])].join(', ');

/** Each: what it is called, what it says, what it says in smaller letters, and how well that is. */
const FIGURES = [
  {
    title: 'Health',
    of: ({ verdict }) => [verdict.status, listOf(verdict.notWell), VERDICTS[verdict.status]],
  },
  {
    title: 'Slots',
    of: ({ pool }) => [
      pool.maxProcesses === undefined
        ? count(pool.processes)
        : `${count(pool.processes)} of ${count(pool.maxProcesses)}`,
      `${count(pool.idle)} idle${pool.startsWaiting > 0 ? `, ${count(pool.startsWaiting)} wait to start` : ''}`,
      'plain',
    ],
  },
  { title: 'Leases', of: ({ pool }) => [count(pool.leases), '', 'plain'] },
  {
    title: 'Waiting callers',
    of: ({ pool, counts }) => [
      count(pool.waiting),
      `${count(counts.rejected)} refused so far`,
      pool.waiting > 0 ? 'warn' : 'plain',
    ],
  },
  {
    title: 'Memory',
    of: ({ totals, host }) => [megabytes(totals.memoryMB), `machine ${percent(host.memoryUsedPercent)} used`, 'plain'],
  },
  {
    title: 'CPU',
    of: ({ totals, host }) => [
      percent(totals.cpuPercent),
      `load ${host.load ?? '–'} on ${count(host.cpus)} cores, host late by ${duration(host.eventLoopDelay)}`,
      'plain',
    ],
  },
  {
    title: 'Crashes',
    of: ({ counts }) => [
      count(counts.crashes),
      `${count(counts.restarts)} restarts, ${count(counts.startFailures)} failed starts`,
      'plain',
    ],
  },
  { title: 'Alerts', of: ({ alerts }) => [count(alerts.length), '', worst(alerts)] },
];

/** The figures of the pool, and what the badges beside the title say. */
export class Figures {
  #shown = FIGURES.map(({ title }) => {
    const [value, note] = [make('dd', { class: 'value' }), make('dd', { class: 'note' })];
    byId('figures').append(make('div', { class: 'figure' }, make('dt', {}, title), value, note));
    return { value, note };
  });
  #state = make('span', { class: 'badge' });
  #level = make('span', { class: 'badge' });

  constructor() {
    byId('badges').append(this.#state, this.#level);
  }

  draw(snapshot) {
    for (const [index, { of }] of FIGURES.entries()) {
      const [value, note, tone] = of(snapshot);
      const shown = this.#shown[index];
      setText(shown.value, value);
      setAttribute(shown.value, 'data-tone', tone);
      setText(shown.note, note);
    }
    const { state, level } = snapshot.pool;
    setText(this.#state, `pool ${state}`);
    setAttribute(this.#state, 'data-tone', state === 'open' ? 'good' : 'warn');
    setText(this.#level, `level ${level}`);
    setAttribute(this.#level, 'data-tone', level === 'normal' ? 'good' : level === 'warning' ? 'warn' : 'bad');
    const { length } = snapshot.alerts;
    const title = `${length > 0 ? `(${length}) ` : ''}Server pool`;
    if (document.title !== title) document.title = title;
  }
}
