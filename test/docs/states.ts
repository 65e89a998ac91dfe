import { TRANSITIONS as ALERT } from '../../src/health/alerts/alert-state.js';
import { assess, type Health, type Signs } from '../../src/health/verdict.js';
import { TRANSITIONS as LEAK } from '../../src/monitor/leaks/verdict.js';
import { LEVELS } from '../../src/monitor/level.js';
import { TRANSITIONS as BREAKER } from '../../src/pool/supervision/breaker.js';
import { TRANSITIONS as STEP } from '../../src/sequence/step-state.js';
import { TRANSITIONS as SERVER } from '../../src/server/server-state.js';

type Table = Readonly<Record<string, Partial<Record<string, string>>>>;

/** Mermaid takes `-` for a part of an arrow. */
const idOf = (state: string) => state.replaceAll('-', '_');

/** A diagram of mermaid. Transitions between the same states are one arrow. */
function diagram(first: string, edges: readonly (readonly [from: string, to: string, label: string])[]): string {
  const labels = new Map<string, string[]>();
  for (const [from, to, label] of edges) {
    const arrow = `${idOf(from)} --> ${idOf(to)}`;
    labels.set(arrow, [...(labels.get(arrow) ?? []), label]);
  }
  const states = new Set([...edges.map(([from]) => from), ...edges.map(([, to]) => to)]);
  const names = [...states].filter((state) => state.includes('-')).map((state) => `${idOf(state)}: ${state}`);
  const arrows = [...labels].map(([arrow, texts]) => `${arrow}: ${[...new Set(texts)].join(', ')}`);
  const lines = [...names, `[*] --> ${idOf(first)}`, ...arrows];
  return `\`\`\`mermaid\nstateDiagram-v2\n${lines.map((line) => `  ${line}\n`).join('')}\`\`\`\n`;
}

function ofTable(first: string, table: Table): string {
  const edges = Object.entries(table).flatMap(([from, steps]) =>
    Object.entries(steps).map(([step, to = '']) => [from, to, step] as const),
  );
  return diagram(first, edges);
}

const SIGNS: Signs = {
  answer: 'missed',
  how: '',
  process: 'running',
  isObserved: false,
  hasStoppedHelper: false,
  hasSpoken: false,
  heardAt: undefined,
  moves: false,
  isOnNetwork: false,
  open: 0,
  wanted: 0,
  overload: undefined,
};

/** What a check may find, in the words of the diagram. */
const CHECKS: Readonly<Record<string, Partial<Signs>>> = {
  answers: { answer: 'answered' },
  'works on a call': { moves: true, open: 1, wanted: 1 },
  misses: {},
  'process stopped or gone': { process: 'stopped' },
};

/** What the function that decides makes of each check, in each state. */
function ofHealth(): string {
  const edges = (['healthy', 'busy', 'degraded', 'unhealthy'] as const).flatMap((status) => {
    const misses = { healthy: 0, busy: 0, degraded: 1, unhealthy: 3 }[status];
    const before: Health = { status, since: 0, misses, excused: 0, lastLife: 0, reason: '', action: '' };
    const after = (health: Health, signs: Partial<Signs>) =>
      assess(health, { ...SIGNS, ...signs }, { unhealthyAfter: Infinity }, 1);
    const found = Object.entries(CHECKS).map(([label, signs]) => [status, after(before, signs).status, label] as const);
    const third = [status, after({ ...before, misses: 2 }, {}).status, 'misses three in a row'] as const;
    return status === 'degraded' ? [...found, third] : found;
  });
  return diagram(
    'healthy',
    edges.flatMap(([from, to, label]) => (to === undefined || from === to ? [] : [[from, to, label] as const])),
  );
}

function ofLevels(): string {
  const edges = LEVELS.slice(1).flatMap((level, index) => {
    const lower = LEVELS[index] ?? '';
    return [[lower, level, 'reached'] as const, [level, lower, 'lower for cooldown'] as const];
  });
  return diagram(LEVELS[0], edges);
}

/** The blocks of docs/states.md. */
export function stateBlocks(): Readonly<Record<string, string>> {
  return {
    'states: server': ofTable('starting', SERVER),
    'states: breaker': ofTable('closed', BREAKER),
    'states: step': ofTable('idle', STEP),
    'states: alert': ofTable('pending', ALERT),
    'states: leak': ofTable('none', LEAK),
    'states: health': ofHealth(),
    'states: level': ofLevels(),
  };
}
