import { Keyed, make, setText } from './dom.js';
import { clock, count, megabytes, percent } from './format.js';

const COLUMNS = [
  ['Pid', ({ pid }) => (pid === undefined ? '–' : String(pid))],
  ['State', ({ state, waitsForTurn }) => (waitsForTurn ? 'waits for its turn' : state)],
  ['Health', ({ health }) => health ?? 'not checked yet'],
  ['Tenant', ({ tenant }) => tenant ?? '–'],
  ['Owner', ({ owner }) => owner ?? '–'],
  ['Leases', ({ leases, uses }) => `${count(leases)} now, ${count(uses)} in all`],
  ['Open requests', ({ openRequests }) => count(openRequests)],
  ['Processes', ({ treeProcesses }) => count(treeProcesses)],
  ['Memory', ({ memoryMB }) => megabytes(memoryMB)],
  ['CPU', ({ cpuPercent }) => percent(cpuPercent)],
  ['Since', ({ startedAt }) => clock(startedAt)],
];

/** What is known of one server and of its instances: a row of its own in the table. */
export class ServerDetails {
  element = make('tr', { role: 'row', class: 'details', hidden: true });
  #facts = make('dl', { class: 'facts' });
  #body = make('tbody');
  #none = make('p', { class: 'note' }, 'No process now.');
  #region;
  #factList = new Keyed(this.#facts, () => new Fact());
  #instanceList = new Keyed(this.#body, () => new InstanceRow());

  /** @param width columns of the table */
  constructor(width) {
    const head = make('tr', {}, ...COLUMNS.map(([title]) => make('th', { scope: 'col' }, title)));
    const table = make('table', {}, make('thead', {}, head), this.#body);
    // It can be scrolled, so it can have the focus.
    this.#region = make('div', { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Instances' }, table);
    this.element.append(make('td', { role: 'cell', colSpan: width }, this.#facts, this.#none, this.#region));
  }

  update(server) {
    const { instances } = server;
    this.#factList.show(factsOf(server), ([term]) => term);
    this.#instanceList.show(instances, ({ id }) => id);
    this.#none.hidden = instances.length > 0;
    this.#region.hidden = instances.length === 0;
  }
}

function factsOf({ name, sharing, check, lastFailure, breakers }) {
  const facts = [
    ['Name', name],
    ['Sharing', sharing],
    ['Health', [check?.reason, check?.action].filter(Boolean).join('. ')],
    ['Last start', lastFailure && `failed: ${lastFailure}`],
    ...breakers.filter(({ state }) => state !== 'closed').map(breakerFact),
  ];
  return facts.filter(([, value]) => value);
}

function breakerFact({ tenant, state, failures, retryAt }) {
  const next = retryAt === undefined ? '' : `, next start at ${clock(retryAt)}`;
  return [`Breaker${tenant === undefined ? '' : ` of ${tenant}`}`, `${state}, ${count(failures)} failures${next}`];
}

class Fact {
  #term = make('dt');
  #value = make('dd');
  element = make('div', {}, this.#term, this.#value);

  update([term, value]) {
    setText(this.#term, term);
    setText(this.#value, value);
  }
}

class InstanceRow {
  #cells = COLUMNS.map(() => make('td'));
  element = make('tr', {}, ...this.#cells);

  update(instance) {
    for (const [index, [, text]] of COLUMNS.entries()) setText(this.#cells[index], text(instance));
  }
}
