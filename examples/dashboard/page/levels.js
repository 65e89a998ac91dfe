import { byId, Keyed, make, setAttribute, setOptions, setText } from './dom.js';
import { count, duration, megabytes, precise, share } from './format.js';

const POOL = '';

const LEVELS = {
  availabilityPercent: ['Availability', precise],
  failurePercent: ['Failed requests', precise],
  acquireTime: ['Getting a server, 95 %', duration],
  requestTime: ['Requests, 95 %', duration],
  restartTime: ['Restarts, 95 %', duration],
  detectionTime: ['Finding a failure, 95 %', duration],
  startupTime: ['Starts, 95 %', duration],
  shutdownTime: ['Ends, 95 %', duration],
  unexpectedRestarts: ['Failures of servers', count],
  criticalViolations: ['Limits exceeded', count],
  memoryMB: ['Most memory of a server', megabytes],
  pressureEvents: ['Memory near its end', count],
  alertsPerDay: ['Alerts', count],
  queueGrowth: ['Growths of the queue', count],
  concurrentSessions: ['Leases at once', count],
};

const MET = new Map([
  [true, ['● yes', 'good']],
  [false, ['■ no', 'bad']],
]);

/** What is expected of the pool, or of one server, and what it was. */
export class Levels {
  #rows = new Keyed(byId('levels'), () => new LevelRow());
  #select = byId('levels-of');
  #report;

  constructor() {
    this.#select.addEventListener('change', () => this.draw());
  }

  take(report) {
    this.#report = report;
  }

  draw() {
    if (this.#report === undefined) return;
    const { pool, servers } = this.#report;
    setOptions(this.#select, [[POOL, 'the pool'], ...Object.keys(servers).map((name) => [name, name])]);
    const levels = servers[this.#select.value] ?? pool;
    const known = Object.entries(levels).filter(([name]) => Object.hasOwn(LEVELS, name));
    this.#rows.show(known, ([name]) => name);
  }
}

class LevelRow {
  #cells = Array.from({ length: 6 }, (_, index) =>
    make('td', { class: [0, 1, 3, 4].includes(index) ? 'number' : 'state' }),
  );
  #title = make('th', { scope: 'row' });
  element = make('tr', {}, this.#title, ...this.#cells);

  update([name, { actual, target, isMet, budgetLeft, samples, window }]) {
    const [title, format] = LEVELS[name];
    const [met, tone] = MET.get(isMet) ?? ['–', 'plain'];
    const texts = [format(actual), format(target), met, share(budgetLeft), count(samples), duration(window)];
    setText(this.#title, title);
    for (const [index, text] of texts.entries()) setText(this.#cells[index], text);
    setAttribute(this.#cells[2], 'data-tone', tone);
  }
}
