import { byId, make } from './dom.js';
import { clock } from './format.js';

/** Lines in the page, and in its memory. */
const MOST_SHOWN = 150;
const MOST_KEPT = 500;

/** What has happened, the latest first. */
export class Events {
  #entries = [];
  #new = [];
  #kind = byId('kind');
  #find = byId('find-event');
  #list = byId('log');

  constructor() {
    this.#kind.addEventListener('change', () => this.#showAll());
    this.#find.addEventListener('input', () => this.#showAll());
  }

  take(entries) {
    this.#entries = [...this.#entries, ...entries].slice(-MOST_KEPT);
    this.#new = [...this.#new, ...entries].slice(-MOST_KEPT);
  }

  /** Only what is new becomes elements. */
  draw() {
    const lines = this.#new.filter((entry) => this.#isWanted(entry)).slice(-MOST_SHOWN);
    this.#new = [];
    if (lines.length === 0) return;
    // A person who has scrolled down reads on at the same place: browsers see to that by themselves
    // ("scroll anchoring"), unless the list is at its top.
    this.#list.prepend(...lines.map(lineOf).reverse());
    while (this.#list.childElementCount > MOST_SHOWN) this.#list.lastElementChild.remove();
  }

  #showAll() {
    this.#new = [];
    const lines = this.#entries.filter((entry) => this.#isWanted(entry)).slice(-MOST_SHOWN);
    this.#list.replaceChildren(...lines.map(lineOf).reverse());
  }

  #isWanted({ event, tone, name, text }) {
    const kind = this.#kind.value;
    if (kind === 'problems' && tone !== 'bad' && tone !== 'warn') return false;
    if (kind !== '' && kind !== 'problems' && !kind.split(' ').some((prefix) => event.startsWith(prefix))) return false;
    const wanted = this.#find.value.trim().toLowerCase();
    return wanted === '' || `${event} ${name} ${text}`.toLowerCase().includes(wanted);
  }
}

function lineOf({ at, event, tone, name, text }) {
  return make(
    'li',
    { 'data-tone': tone },
    make('time', {}, clock(at)),
    make('b', {}, event),
    make('span', { class: 'of' }, name),
    make('span', { class: 'text' }, text),
  );
}
