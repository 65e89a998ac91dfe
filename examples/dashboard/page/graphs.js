import { historyOf } from './connection.js';
import { byId, make, setAttribute, setOptions, setText } from './dom.js';
import { clock, count, megabytes, percent } from './format.js';
import { Series } from './series.js';
import { onTheme } from './theme.js';

const HEIGHT = 130;
const ALL = '';
const MINUTE = 60_000;
/** Graphs are never narrower than this: a few points would look like a trend. */
const LEAST_SPAN = 2 * MINUTE;

const GRAPHS = [
  { title: 'Memory', format: megabytes, lines: [{ field: 'memoryMB', label: 'unique memory' }] },
  { title: 'CPU, of one core', format: percent, lines: [{ field: 'cpuPercent', label: 'CPU' }] },
  { title: 'Processes of the system', format: count, lines: [{ field: 'processes', label: 'processes' }] },
  {
    title: 'Leases and queue',
    format: count,
    lines: [
      { field: 'leases', label: 'leases' },
      { field: 'waiting', label: 'waiting callers' },
    ],
  },
];

/** The graphs: of the pool, or of the server that is chosen. */
export class Graphs {
  #pool = new Series();
  #server = new Series();
  #graphs;
  #select = byId('graphed');

  constructor() {
    this.#graphs = GRAPHS.map((graph) => new Graph(graph, byId('graphs')));
    setOptions(this.#select, [[ALL, 'all servers']]);
    this.#select.addEventListener('change', () => this.#choose());
    onTheme(() => {
      for (const graph of this.#graphs) graph.rebuild();
      this.draw();
    });
  }

  /** What the host has kept of the pool. */
  restart(history) {
    this.#pool.replace(history);
    if (this.#select.value !== ALL) void this.#choose();
  }

  add({ at, totals, servers }) {
    this.#pool.add({ at, ...totals });
    const isThere = setOptions(this.#select, [
      [ALL, 'all servers'],
      ...servers.map(({ name, label }) => [name, label ?? name]),
    ]);
    if (!isThere) this.#select.value = ALL;
    const chosen = servers.find(({ name }) => name === this.#select.value);
    if (chosen) this.#server.add({ at, ...chosen.totals });
  }

  draw() {
    const series = this.#select.value === ALL ? this.#pool : this.#server;
    for (const graph of this.#graphs) graph.draw(series);
  }

  async #choose() {
    const name = this.#select.value;
    this.#server.clear();
    this.draw();
    if (name === ALL) return;
    const history = await historyOf(name).catch(() => undefined);
    // Another one may have been chosen meanwhile.
    if (history === undefined || this.#select.value !== name) return;
    this.#server.replace(history);
    this.draw();
  }
}

class Graph {
  #graph;
  #place = make('div', { class: 'plot', role: 'img' });
  #keys;
  #now = make('span', { class: 'now' });
  #plot;
  #latest = [];

  constructor(graph, parent) {
    this.#graph = graph;
    this.#keys = graph.lines.map((_, index) => make('i', { class: `key key-${index}`, 'aria-hidden': 'true' }));
    const isOne = graph.lines.length === 1;
    const legend = graph.lines.map(({ label }, index) =>
      make('span', { class: 'legend' }, this.#keys[index], isOne ? '' : label),
    );
    const caption = make('figcaption', {}, ...legend, make('b', {}, graph.title), this.#now);
    parent.append(make('figure', {}, caption, this.#place));
    this.rebuild();
    new ResizeObserver(() => this.#plot.setSize(this.#size)).observe(this.#place);
  }

  /** With the colours of now. */
  rebuild() {
    this.#plot?.destroy();
    this.#plot = new globalThis.uPlot(this.#options, this.#latest.length > 0 ? this.#latest : undefined, this.#place);
  }

  draw(series) {
    const { format, lines, title } = this.#graph;
    this.#latest = [series.of('at'), ...lines.map(({ field }) => series.of(field))];
    this.#plot.setData(this.#latest);
    const texts = lines.map(({ field, label }) => {
      const values = series.of(field);
      const all = values.filter((value) => value !== null);
      const most = all.length === 0 ? undefined : all.reduce((a, b) => Math.max(a, b));
      return { label, now: format(values.at(-1)), most: format(most) };
    });
    setText(this.#now, texts.map(({ now }) => now).join(' / '));
    const words = texts.map(({ label, now, most }) => `${label} ${now}, at most ${most}`);
    setAttribute(this.#place, 'aria-label', `${title} in the last ten minutes: ${words.join('; ')}`);
  }

  get #size() {
    return { width: Math.max(this.#place.clientWidth, 100), height: HEIGHT };
  }

  get #options() {
    const { format, lines } = this.#graph;
    const text = getComputedStyle(this.#now).color;
    const grid = { stroke: getComputedStyle(this.#place).borderTopColor, width: 1 };
    const axis = { stroke: text, grid, ticks: grid, font: '11px system-ui' };
    return {
      ...this.#size,
      ms: 1,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false },
      scales: {
        x: { time: true, range: (_plot, least, most) => spanOf(least, most) },
        // From zero, with room above; never a range of nothing.
        y: { range: (_plot, _least, most) => [0, Math.max(1, (most ?? 0) * 1.1)] },
      },
      axes: [
        { ...axis, size: 26, space: 70, values: (_plot, ticks) => ticks.map((tick) => clock(tick).slice(0, 5)) },
        {
          ...axis,
          size: 62,
          space: 28,
          values: (_plot, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? format(tick) : '')),
        },
      ],
      series: [
        {},
        ...lines.map(({ label }, index) => {
          const stroke = getComputedStyle(this.#keys[index]).color;
          return { label, stroke, width: 2, dash: index === 0 ? undefined : [6, 4], points: { show: false } };
        }),
      ],
    };
  }
}

function spanOf(least, most) {
  const end = most ?? Date.now();
  return [Math.min(least ?? end, end - LEAST_SPAN), end];
}
