import { make, setAttribute, setText } from './dom.js';
import { count, megabytes, percent } from './format.js';
import { ServerDetails } from './server-details.js';
import { stateOf } from './server-state.js';

/** The columns of the table: the heading, what a cell says, and what the table is sorted by. */
export const COLUMNS = [
  { id: 'name', title: 'Server', order: nameOf },
  { id: 'state', title: 'State', order: (server) => stateOf(server).word },
  {
    id: 'instances',
    title: 'Instances',
    isNumber: true,
    text: ({ instances, maxInstances }) =>
      `${count(instances.length)} of ${maxInstances === undefined ? '∞' : count(maxInstances)}`,
    order: ({ instances }) => -instances.length,
  },
  {
    id: 'leases',
    title: 'Leases',
    isNumber: true,
    text: ({ totals }) => count(totals.leases),
    order: ({ totals }) => -totals.leases,
  },
  {
    id: 'waiting',
    title: 'Waiting',
    isNumber: true,
    text: ({ waiting }) => count(waiting),
    order: ({ waiting }) => -waiting,
  },
  {
    id: 'memory',
    title: 'Memory',
    isNumber: true,
    text: ({ totals }) => megabytes(totals.memoryMB),
    order: ({ totals }) => -(totals.memoryMB ?? 0),
  },
  {
    id: 'cpu',
    title: 'CPU',
    isNumber: true,
    text: ({ totals }) => percent(totals.cpuPercent),
    order: ({ totals }) => -(totals.cpuPercent ?? 0),
  },
];

export function nameOf({ name, label }) {
  return label ?? name;
}

/** One server: a row, and its details below it when it is opened. */
export class ServerRow {
  element = make('tbody', { role: 'rowgroup' });
  #cells;
  #toggle = make('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false' });
  #sign = make('span', { 'aria-hidden': 'true' });
  #word = make('span');
  #state = make('span', { class: 'state' }, this.#sign, ' ', this.#word);
  #restart = make('button', { type: 'button' }, 'Restart');
  #drain = make('button', { type: 'button' });
  /** Made when it is opened first. */
  #details;
  #server;

  /** @param actions `restart(server)`, `drain(server)`, `resume(server)` */
  constructor(actions) {
    this.#cells = COLUMNS.map(({ id, title, isNumber }) => {
      const cell = make('td', { role: 'cell', 'data-title': title, ...(isNumber ? { class: 'number' } : {}) });
      if (id === 'name') cell.append(this.#toggle);
      if (id === 'state') cell.append(this.#state);
      return cell;
    });
    const buttons = make('td', { role: 'cell', class: 'actions' }, this.#restart, ' ', this.#drain);
    const row = make('tr', { role: 'row' }, ...this.#cells, buttons);
    this.element.append(row);
    this.#toggle.addEventListener('click', () => this.#open(this.#details?.element.hidden ?? true));
    this.#restart.addEventListener('click', () => actions.restart(this.#server));
    this.#drain.addEventListener('click', () => actions[this.#server.isDrained ? 'resume' : 'drain'](this.#server));
  }

  update(server) {
    this.#server = server;
    const name = nameOf(server);
    const { word, tone, sign } = stateOf(server);
    for (const [index, { text }] of COLUMNS.entries()) if (text) setText(this.#cells[index], text(server));
    setText(this.#toggle, name);
    setText(this.#sign, sign);
    setText(this.#word, word);
    setAttribute(this.#state, 'data-tone', tone);
    const drain = server.isDrained ? 'Resume' : 'Drain';
    setText(this.#drain, drain);
    setAttribute(this.#drain, 'aria-label', `${drain} ${name}`);
    setAttribute(this.#restart, 'aria-label', `Restart ${name}`);
    this.#restart.disabled = !server.defined;
    this.#drain.disabled = !server.defined && !server.isDrained;
    if (this.#details?.element.hidden === false) this.#details.update(server);
  }

  #open(isOpen) {
    setAttribute(this.#toggle, 'aria-expanded', String(isOpen));
    if (this.#details === undefined) {
      this.#details = new ServerDetails(COLUMNS.length + 1);
      this.element.append(this.#details.element);
    }
    this.#details.element.hidden = !isOpen;
    if (isOpen) this.#details.update(this.#server);
  }
}
