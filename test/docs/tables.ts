import { definitionFields, poolFields } from '../../src/config/options.js';
import { policyFields } from '../../src/config/policy-fields.js';
import { inCode } from '../../src/config/written-number.js';
import { tableOf, withBlock } from './blocks.js';
import { type AnyField, catalog } from './catalog.js';

/** A table between two markers of a page. */
interface Table {
  readonly head: readonly [string, string] | readonly [string, string, string];
  /** The paths of options, or a row of text that begins a part. */
  readonly rows: readonly (string | { readonly part: string; readonly note: string })[];
  /** What the paths begin with, and the table leaves out. */
  readonly prefix?: string;
}

const all = catalog();
const keys = (fields: object) => Object.keys(fields);
const below = (prefix: string, ...expanded: readonly string[]) =>
  [...all.keys()].filter((path) => {
    if (!path.startsWith(prefix)) return false;
    const rest = path.slice(prefix.length);
    const [head = ''] = rest.split('.');
    if (expanded.includes(rest)) return false;
    const depth = rest.split('.').length;
    return !rest.includes('[') && (depth === 1 || (depth === 2 && expanded.includes(head)));
  });
/** All below, whatever depth, apart from those that only hold others. */
const described = (prefix: string) =>
  [...all.keys()].filter((path) => path.startsWith(prefix) && all.get(path)?.about !== undefined);
const OPTION = ['option', 'default', 'meaning'] as const;
const FIELD = ['field', 'default', 'meaning'] as const;

/** The tables of options, by page and name. */
export const TABLES: Readonly<Record<string, Readonly<Record<string, Table>>>> = {
  'README.md': {
    'what most hosts set': {
      head: OPTION,
      rows: [
        ...[
          'limits.maxProcesses',
          'memoryLimitMB',
          'acquireTimeout',
          'handleSignals',
          'inheritEnv',
          'sharing',
          'reuse',
        ],
        ...['maxInstances', 'idleTimeout'],
      ],
    },
  },
  'docs/options.md': {
    options: {
      head: OPTION,
      rows: [
        { part: 'The pool', note: '`new MCPServerPool({ … })`' },
        ...below('', 'limits', 'cleanup').filter(
          (path) => Object.hasOwn(poolFields, path.split('.')[0] ?? '') && !Object.hasOwn(policyFields, path),
        ),
        { part: 'A server', note: '' },
        ...keys(definitionFields).filter((name) => !Object.hasOwn(policyFields, name)),
        { part: 'Its policy', note: 'also in `defaults`' },
        ...keys(policyFields),
      ],
    },
    monitoring: { head: OPTION, rows: described('monitoring.') },
    alerts: { head: OPTION, rows: described('alerts.') },
    'service levels': { head: OPTION, rows: described('serviceLevels.') },
    audit: { head: OPTION, rows: described('audit.') },
    requires: { head: OPTION, rows: described('limits.requires.') },
    health: { head: OPTION, rows: described('health.') },
    restart: { head: OPTION, rows: described('restart.') },
    containment: { head: OPTION, rows: ['guardian.', 'markers.', 'rlimits.', 'cgroupLimits.'].flatMap(described) },
  },
  'docs/alerts.md': { alerts: { head: FIELD, prefix: 'alerts.', rows: below('alerts.') } },
  'docs/health.md': { health: { head: FIELD, prefix: 'health.', rows: below('health.') } },
  'docs/leases.md': {
    limits: {
      head: OPTION,
      rows: [
        ...[
          'limits.maxProcesses',
          'limits.maxProcessesPerServer',
          'maxInstances',
          'maxInstancesPerTenant',
          'maxSessions',
        ],
        ...['limits.concurrentStarts', 'maxWaiting', 'acquireTimeout', 'leaseIdleTimeout'],
      ],
    },
  },
  'docs/lanes.md': {
    requires: {
      head: ['requirement', 'what is measured'],
      prefix: 'limits.requires.',
      rows: below('limits.requires.'),
    },
  },
  'docs/monitoring.md': {
    monitoring: {
      head: FIELD,
      prefix: 'monitoring.',
      rows: below('monitoring.', 'windows', 'levels', 'growth', 'leak'),
    },
  },
  'docs/service-levels.md': {
    targets: {
      head: ['target', 'default', 'level'],
      prefix: 'serviceLevels.targets.',
      rows: below('serviceLevels.targets.'),
    },
  },
  'docs/sharing.md': {
    restart: { head: ['`restart` of a definition', 'default', 'meaning'], prefix: 'restart.', rows: below('restart.') },
  },
  'docs/termination.md': {
    guardian: { head: OPTION, rows: below('guardian.') },
    containment: { head: OPTION, rows: [...below('markers.'), ...below('rlimits.'), ...below('cgroupLimits.')] },
  },
};

/** The page with its tables made anew. @throws Error if a marker is missing */
export function withTables(page: string, text: string): string {
  let result = text;
  for (const [name, table] of Object.entries(TABLES[page] ?? {})) {
    result = withBlock(result, `options: ${name}`, printed(table, page));
  }
  return result;
}

function printed({ head, prefix = '', rows }: Table, page: string): string {
  const cells = rows.map((row): readonly string[] => {
    if (typeof row !== 'string') return [`**${row.part}**`, '', row.note];
    const field = all.get(row);
    if (field?.about === undefined) throw new Error(`the option '${row}' has no description: see about() in fields.ts`);
    const name = `\`${row.slice(prefix.length)}\``;
    const meaning = linksFor(page, field.about);
    return head.length === 2 ? [name, meaning] : [name, shownDefault(field), meaning];
  });
  return tableOf(head, cells);
}

/** As it is written in code; in words where it is no value. */
function shownDefault({ default: value, required, shownDefault: shown }: AnyField): string {
  if (shown !== undefined) return shown;
  if (required) return 'required';
  if (value === undefined) return 'none';
  const code =
    typeof value === 'number'
      ? value === Infinity
        ? 'Infinity'
        : inCode(value)
      : typeof value === 'string'
        ? `'${value}'`
        : JSON.stringify(value);
  return `\`${code}\``;
}

/** Links of descriptions are relative to `docs/`. One to the page itself says nothing, unless it leads to a part of it. */
function linksFor(page: string, text: string): string {
  const own = page.replace('docs/', '');
  const local = text
    .replaceAll(` ([fields](${own}))`, '')
    .replaceAll(new RegExp(` \\(\\[\\w[^\\]]*\\]\\(${own}\\)\\)`, 'g'), '')
    .replaceAll(new RegExp(`; \\[\\w[^\\]]*\\]\\(${own}\\)`, 'g'), '')
    .replaceAll(`](${own}#`, '](#');
  return page === 'README.md' ? local.replaceAll(/\]\((?=[\w-]+\.md)/g, '](docs/') : local;
}
