import { byId, Keyed, make, setAttribute, setText } from './dom.js';
import { plural } from './format.js';
import { COLUMNS, nameOf, ServerRow } from './server-rows.js';
import { stateOf } from './server-state.js';

const compare = (a, b) => (typeof a === 'number' ? a - b : a.localeCompare(b));

/** The table of servers: found by a text, sorted by a column. */
export class Servers {
  #find = byId('find');
  #table = byId('server-table');
  #sortedBy = COLUMNS[0];
  #isReversed = false;
  #servers = [];
  #headings = new Map();
  /** Names, as they are shown. */
  #shown = [];
  #rows;

  constructor(actions) {
    this.#rows = new Keyed(this.#table, () => new ServerRow(actions), this.#table.tHead);
    for (const column of COLUMNS) byId('columns').append(this.#heading(column));
    const actionsHeading = make('th', { scope: 'col', role: 'columnheader' }, 'Actions');
    byId('columns').append(actionsHeading);
    this.#find.addEventListener('input', () => this.#sort());
  }

  draw({ servers }) {
    this.#servers = servers;
    // A row must not move away from the pointer or the focus.
    const isUsed = this.#table.querySelector('tbody:hover, tbody:focus-within') !== null;
    this.#show(isUsed ? this.#inPlace() : this.#sorted());
  }

  #sort() {
    this.#show(this.#sorted());
  }

  #heading(column) {
    const button = make('button', { type: 'button', class: 'sort' }, column.title);
    const heading = make(
      'th',
      { scope: 'col', role: 'columnheader', ...(column.isNumber ? { class: 'number' } : {}) },
      button,
    );
    this.#headings.set(column, heading);
    button.addEventListener('click', () => {
      this.#isReversed = this.#sortedBy === column && !this.#isReversed;
      this.#sortedBy = column;
      this.#sort();
    });
    return heading;
  }

  #show(servers) {
    const wanted = this.#find.value.trim().toLowerCase();
    const shown = servers.filter((server) =>
      `${server.name} ${nameOf(server)} ${stateOf(server).word}`.toLowerCase().includes(wanted),
    );
    for (const [column, heading] of this.#headings) {
      // Numbers begin with the largest.
      const isDescending = Boolean(column.isNumber) !== this.#isReversed;
      setAttribute(
        heading,
        'aria-sort',
        column !== this.#sortedBy ? 'none' : isDescending ? 'descending' : 'ascending',
      );
    }
    this.#rows.show(shown, ({ name }) => name);
    this.#shown = servers.map(({ name }) => name);
    const all = plural(servers.length, 'server');
    setText(byId('found'), wanted === '' ? all : `${shown.length} of ${all}`);
  }

  #sorted() {
    return [...this.#servers].sort((a, b) => this.#compare(a, b));
  }

  /** As they are shown; new ones at the end. */
  #inPlace() {
    const places = new Map(this.#shown.map((name, index) => [name, index]));
    const placeOf = ({ name }) => places.get(name) ?? places.size;
    return [...this.#servers].sort((a, b) => placeOf(a) - placeOf(b));
  }

  #compare(a, b) {
    const { order } = this.#sortedBy;
    const difference = compare(order(a), order(b)) || a.name.localeCompare(b.name);
    return this.#isReversed ? -difference : difference;
  }
}
