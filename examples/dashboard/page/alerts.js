import { announce } from './announce.js';
import { byId, Keyed, make, setAttribute, setText } from './dom.js';
import { clock, plural } from './format.js';

const SIGNS = { critical: '■ critical', warning: '▲ warning', info: '● info' };
const TONES = { critical: 'bad', warning: 'warn', info: 'plain' };

/** What is wrong now. */
export class Alerts {
  #list;
  /** Ids; undefined before the first picture: what was there before is not announced. */
  #known;

  /** @param acknowledge is called with an alert */
  constructor(acknowledge) {
    this.#list = new Keyed(byId('alert-list'), () => new AlertItem(acknowledge));
  }

  draw({ alerts }) {
    byId('no-alerts').hidden = alerts.length > 0;
    this.#list.show(alerts, ({ id }) => id);
    for (const { id, severity, message } of alerts) {
      if (this.#known && !this.#known.has(id)) announce(`New alert, ${severity}: ${message}`);
    }
    this.#known = new Set(alerts.map(({ id }) => id));
  }
}

class AlertItem {
  #severity = make('b', { class: 'state' });
  #subject = make('b');
  #message = make('span');
  #action = make('p');
  #note = make('p', { class: 'note' });
  #button = make('button', { type: 'button' }, 'Acknowledge');
  element = make(
    'li',
    {},
    make('div', {}, make('p', {}, this.#severity, ' ', this.#subject, ' ', this.#message), this.#action, this.#note),
    this.#button,
  );
  #alert;

  constructor(acknowledge) {
    this.#button.addEventListener('click', () => acknowledge(this.#alert));
  }

  update(alert) {
    this.#alert = alert;
    const { severity, subject, message, action, since, count, state, acknowledgedBy, holds, inhibited } = alert;
    setText(this.#severity, SIGNS[severity]);
    setAttribute(this.#severity, 'data-tone', TONES[severity]);
    setText(this.#subject, [subject.name, subject.part].filter(Boolean).join(', ') || 'pool');
    setText(this.#message, message);
    setText(this.#action, action);
    const notes = [
      `since ${clock(since)}`,
      `reported ${plural(count, 'time')}`,
      ...(holds ? [] : ['over for now']),
      ...(inhibited ? ['silent, since the whole pool has an alert'] : []),
      ...(state === 'acknowledged' ? [`${acknowledgedBy} works on it`] : []),
    ];
    setText(this.#note, notes.join(', '));
    this.#button.hidden = state === 'acknowledged';
    setAttribute(this.#button, 'aria-label', `Acknowledge: ${message}`);
  }
}
