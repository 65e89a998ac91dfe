import { readFileSync } from 'node:fs';
import { popular } from '../real/profile/popular.js';
import { tableOf } from './blocks.js';

/** What a question could not answer. */
interface Failed {
  readonly error: string;
}

/** Answers of test/real/profile.js. */
export interface Facts {
  readonly handshake: { readonly package: string; readonly tools: number };
  readonly start?: { readonly ratio: number } | Failed;
  readonly tree: Record<'npx' | 'idle', Usage> & { readonly working?: Usage };
  readonly ending?:
    | { readonly eof: number | null; readonly eofAfterWork: number | null; readonly sigterm: string }
    | Failed;
  readonly second: { readonly works: true | string; readonly plain?: true | string };
  readonly state: {
    readonly probed: boolean;
    readonly visible?: { readonly tenant: boolean; readonly owner: boolean };
  };
  readonly together: { readonly calls: number; readonly right: number; readonly oneAtATime?: number };
  readonly asks: { readonly asked: readonly string[]; readonly moreTools: readonly string[] };
  readonly asWritten: { readonly endedBy?: string; readonly left: number };
}

interface Usage {
  readonly processes: number;
  readonly memoryMB: number;
}

/** A server of popular.js. */
interface Subject {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly policy: Readonly<Record<string, unknown>>;
  readonly note?: string;
  readonly unlike?: string;
  readonly work?: unknown;
}

export const subjects: Readonly<Record<string, Subject>> = popular;
const TABLE = new URL('../real/profile/servers.json', import.meta.url);
const measured = JSON.parse(readFileSync(TABLE, 'utf8')) as Record<string, { args: string[]; facts: Facts }>;
/** By server: what was measured of this command line. */
export const facts: Readonly<Record<string, Facts>> = Object.fromEntries(
  Object.entries(measured)
    .filter(([name, { args }]) => args.join(' ') === subjects[name]?.args.join(' '))
    .map(([name, entry]) => [name, entry.facts]),
);

/** What a host writes into its configuration file. */
export function definitionOf({ command, args, env, policy }: Subject) {
  return { command, args, ...(env ? { env } : {}), ...policy };
}

export function serverBlocks(): Record<string, string> {
  const shown = Object.entries(subjects).filter(([name]) => facts[name] !== undefined);
  const rows = shown.map(([name, subject]) => ({ name, subject, of: facts[name] as Facts }));
  return {
    'costs: of servers': tableOf(
      ['server', 'measured', 'tools', 'start', 'processes: npx, alone, at work', 'memory: npx, alone, at work'],
      rows.map(({ name, of }) => [
        name,
        of.handshake.package,
        `${of.handshake.tools}`,
        of.start && 'ratio' in of.start ? `${of.start.ratio}×` : '–',
        usages(of, 'processes'),
        usages(of, 'memoryMB'),
      ]),
    ),
    'behaviour: of servers': tableOf(
      [
        'server',
        'sharing',
        'next client sees',
        'right of 20 at once',
        'a second process',
        'ends by itself',
        'SIGTERM',
        'asks',
      ],
      rows.map(({ name, subject, of }) => [
        name,
        sharingOf(subject),
        seen(of),
        together(of),
        of.second.works === true ? 'works' : 'fails',
        ending(of),
        of.ending && 'sigterm' in of.ending ? of.ending.sigterm : '–',
        of.asks.asked.map((method) => `\`${method}\``).join(', ') || '–',
      ]),
    ),
    'definitions: of servers': `\`\`\`json\n${configuration(shown)}\n\`\`\`\n`,
    'notes: of servers': shown
      .filter(([, { note }]) => note !== undefined)
      .map(([name, { note }]) => `- **${name}.** ${note}\n`)
      .join(''),
  };
}

function usages({ tree }: Facts, figure: keyof Usage): string {
  const found = [tree.npx, tree.idle, ...(tree.working ? [tree.working] : [])];
  return found.map((usage) => usage[figure]).join(', ');
}

function sharingOf({ policy }: Subject): string {
  const { sharing, maxInFlight } = policy;
  return maxInFlight === undefined ? `${sharing}` : `${sharing}, \`maxInFlight: ${maxInFlight}\``;
}

function seen({ state }: Facts): string {
  if (state.visible === undefined) return '–';
  return state.visible.tenant ? (state.visible.owner ? 'all' : "with `'tenant'`") : 'nothing';
}

function together({ together: { right, oneAtATime } }: Facts): string {
  return oneAtATime === undefined ? `${right}` : `${right}; one at a time ${oneAtATime}`;
}

function ending({ ending: found }: Facts): string {
  if (found === undefined || 'error' in found) return '–';
  return found.eofAfterWork === null ? 'no' : `${found.eofAfterWork} ms`;
}

/** As it is written by hand: one line for each field. */
function configuration(shown: readonly (readonly [string, Subject])[]): string {
  const value = (given: unknown) =>
    JSON.stringify(given, undefined, 1).replaceAll(/\n\s*/g, ' ').replace(/^\[ /, '[').replace(/ \]$/, ']');
  const servers = shown.map(([name, subject]) => {
    const fields = Object.entries(definitionOf(subject)).map(([key, given]) => `      "${key}": ${value(given)}`);
    return `    "${name}": {\n${fields.join(',\n')}\n    }`;
  });
  return `{\n  "mcpServers": {\n${servers.join(',\n')}\n  }\n}`;
}
