import type { Color, Part } from './lines.js';
import type { RowState, ServerRow } from './server-rows.js';
import { fitted, printable, widthOf } from './text-width.js';

interface Column {
  readonly title: string;
  /** Of its text. */
  readonly width: number;
  readonly align: 'left' | 'right';
  /** Where the terminal is narrow, those with the lowest number are left out first. */
  readonly rank: number;
  text(row: ServerRow): string;
  color?(row: ServerRow): Color | undefined;
  /** The figure that a bar before the text shows. */
  figure?(row: ServerRow): number | undefined;
  /** The bar of the server with the largest figure is full; or this figure is a full bar, if that is more. */
  readonly full?: number;
}

const STATE_COLORS: Readonly<Record<RowState, Color | undefined>> = {
  quarantined: 'red',
  refused: 'red',
  failed: 'red',
  ready: 'green',
  starting: 'yellow',
  stopping: 'yellow',
  removed: 'dim',
  'no process': 'dim',
};

const HEALTH_COLORS = { healthy: 'green', busy: 'cyan', degraded: 'yellow', unhealthy: 'red' } as const;

/** The columns after the name. In a terminal of 80 columns all of them fit, and the name has {@link LEAST_NAME}. */
const COLUMNS: readonly Column[] = [
  {
    title: 'STATE',
    width: 11,
    align: 'left',
    rank: 8,
    text: ({ state }) => state,
    color: ({ state }) => STATE_COLORS[state],
  },
  { title: 'TREES', width: 5, align: 'right', rank: 3, text: ({ trees }) => trees },
  { title: 'PROC', width: 4, align: 'right', rank: 1, text: ({ processes }) => shown(processes) },
  {
    title: 'MEM',
    width: 5,
    align: 'right',
    rank: 5,
    text: ({ memoryMB }) => memoryText(memoryMB),
    figure: ({ memoryMB }) => memoryMB,
  },
  {
    title: 'CPU',
    width: 5,
    align: 'right',
    rank: 4,
    text: ({ cpuPercent }) => (cpuPercent === undefined ? '-' : `${shown(cpuPercent)}%`),
    figure: ({ cpuPercent }) => cpuPercent,
    full: 100,
  },
  { title: 'LEASE', width: 5, align: 'right', rank: 6, text: ({ leases }) => shown(leases) },
  {
    title: 'WAIT',
    width: 4,
    align: 'right',
    rank: 2,
    text: ({ waiting }) => shown(waiting),
    color: ({ waiting }) => (waiting > 0 ? 'yellow' : undefined),
  },
  {
    title: 'HEALTH',
    width: 9,
    align: 'left',
    rank: 7,
    text: ({ health }) => health ?? '-',
    color: ({ health }) => health && HEALTH_COLORS[health],
  },
];

const LEAST_NAME = 12;
const LONGEST_NAME = 40;
const LEAST_BAR = 5;
const LONGEST_BAR = 20;

/** How the lines of a table are divided. */
interface Layout {
  readonly columns: readonly Column[];
  /** Columns of the terminal for the name, and for each bar; 0: there are no bars. */
  readonly name: number;
  readonly bar: number;
}

/** The lines of a table of servers, the head first, for a terminal with `width` columns. */
export function statusTable(rows: readonly ServerRow[], width: number): Part[][] {
  const longest = rows.reduce((most, { name }) => Math.max(most, widthOf(printable(name))), LEAST_NAME);
  const layout = layoutFor(width, Math.min(longest, LONGEST_NAME));
  const { columns, name, bar } = layout;
  const fulls = new Map(columns.map((column) => [column, fullOf(column, rows)]));
  const head: Part[] = [{ text: fitted('SERVER', name), color: 'bold' }];
  for (const column of columns) {
    const { title, align } = column;
    head.push({ text: ` ${fitted(title, widthIn(layout, column), align)}`, color: 'bold' });
  }
  const lines = rows.map((row) => {
    const line: Part[] = [{ text: fitted(row.name, name) }];
    for (const column of columns) {
      line.push({ text: ' ' });
      if (column.figure && bar > 0) line.push({ text: barOf(column.figure(row), fulls.get(column) ?? 0, bar) }, GAP);
      line.push({ text: fitted(column.text(row), column.width, column.align), color: column.color?.(row) });
    }
    return line;
  });
  return [head, ...lines];
}

const GAP: Part = { text: ' ' };

/**
 * Names get what they need, then bars. In a narrow terminal there are no bars, then fewer columns; the name is last, and as wide
 * as the terminal at most.
 */
function layoutFor(width: number, longest: number): Layout {
  let columns = COLUMNS;
  const room = (bar: number) => {
    const layout = { columns, name: 0, bar };
    return width - columns.reduce((taken, column) => taken + 1 + widthIn(layout, column), 0);
  };
  if (room(LEAST_BAR) >= LEAST_NAME) {
    const bars = columns.filter(({ figure }) => figure).length;
    const name = Math.min(longest, room(LEAST_BAR));
    const bar = LEAST_BAR + Math.floor((room(LEAST_BAR) - name) / bars);
    return { columns, name, bar: Math.min(bar, LONGEST_BAR) };
  }
  while (columns.length > 0 && room(0) < LEAST_NAME) {
    const least = Math.min(...columns.map(({ rank }) => rank));
    columns = columns.filter(({ rank }) => rank !== least);
  }
  return { columns, name: Math.min(longest, room(0)), bar: 0 };
}

function widthIn({ bar }: Layout, { figure, width }: Column): number {
  return figure && bar > 0 ? bar + 1 + width : width;
}

function fullOf({ figure, full = 0 }: Column, rows: readonly ServerRow[]): number {
  return rows.reduce((most, row) => Math.max(most, figure?.(row) ?? 0), full);
}

function barOf(figure: number | undefined, full: number, width: number): string {
  const share = figure === undefined || !(full > 0) ? 0 : Math.min(Math.max(figure / full, 0), 1);
  const length = Math.round(share * width) || 0;
  return '█'.repeat(length) + '░'.repeat(width - length);
}

/** In MB, or in GB where that would be too long. */
function memoryText(memoryMB: number | undefined): string {
  if (memoryMB === undefined) return '-';
  return memoryMB < 9_999.5 ? `${Math.round(memoryMB)}M` : `${Math.round(memoryMB / 1_024)}G`;
}

function shown(value: number | undefined): string {
  return value === undefined ? '-' : String(Math.round(value));
}
