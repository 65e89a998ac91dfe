import { Actions } from './actions.js';
import { EventLog } from './event-log.js';
import { History } from './history.js';
import { snapshotOf } from './snapshot.js';
import { StartOrder } from './start-order.js';
import { Viewers } from './viewers.js';

/** Time between two pictures of the pool, ms. */
const INTERVAL = 1_000;
/** Service levels are of days: one in so many pictures is enough. */
const LEVELS_EVERY = 10;

/** What all pages are told: the pool once a second, and what has happened since. */
export class Feed {
  actions;
  history = new History();
  viewers = new Viewers();
  #pool;
  #log = new EventLog();
  #order;
  #told = 0;
  #ticks = 0;
  #timer;
  #forget;
  #snapshot;

  constructor(pool) {
    this.#pool = pool;
    this.actions = new Actions(pool);
    this.#order = new StartOrder(pool);
    this.#forget = pool.onAny((event, payload) => this.#log.add(event, payload, Date.now()));
    this.#tick();
    this.#timer = setInterval(() => this.#tick(), INTERVAL).unref();
  }

  /** @param after number of the last event that the page has */
  join(response, after) {
    const { viewers } = this;
    viewers.open(response);
    viewers.sendTo(response, 'history', this.history.of());
    viewers.sendTo(response, 'state', this.#snapshot);
    viewers.sendTo(response, 'levels', this.#pool.serviceLevels());
    // What is not told to the others yet comes with the next picture.
    const missed = this.#log.after(after).filter(({ seq }) => seq <= this.#told);
    viewers.sendTo(response, 'log', missed, this.#told);
  }

  /** The result of an action that took long. */
  notice(text, isGood) {
    this.viewers.send('notice', { text, isGood });
  }

  /** Now, and not with the next second: somebody waits to see what an action has changed. */
  refresh() {
    this.#tell();
  }

  close() {
    clearInterval(this.#timer);
    this.#forget();
    this.viewers.close();
  }

  #tick() {
    this.#tell();
    this.history.add(this.#snapshot);
    if (this.viewers.size > 0 && this.#ticks++ % LEVELS_EVERY === 0)
      this.viewers.send('levels', this.#pool.serviceLevels());
  }

  #tell() {
    const { actions, viewers } = this;
    const snapshot = snapshotOf(this.#pool, { now: Date.now(), drained: actions.drained });
    this.#snapshot = { ...snapshot, order: this.#order.plan };
    viewers.send('state', this.#snapshot);
    const news = this.#log.after(this.#told);
    this.#told = this.#log.latest;
    if (news.length > 0) viewers.send('log', news, this.#told);
  }
}
