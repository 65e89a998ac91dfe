/**
 * npm finds the package, installs it, chooses its program, and has a shell run that with a PATH in which the program comes first.
 * So the shell that it is given here runs nothing, and writes down what it was given: all that npm decides is decided by npm.
 */
export const SHELL_NAME = 'shell';
export const REPORTER_NAME = 'report.cjs';
export const REPORT_NAME = 'report.json';

/** npm calls it with `-c` and a command line. */
export const SHELL = `#!/bin/sh
exec "$npm_node_execpath" "\${0%/*}/${REPORTER_NAME}" "$2"
`;

/** Of the variables that npm adds for a program, those that say who runs it. Values of its settings may be secret. */
const KEPT_VARIABLES = [
  'NODE',
  'npm_command',
  'npm_execpath',
  'npm_lifecycle_event',
  'npm_node_execpath',
  'npm_config_user_agent',
] as const;

export const REPORTER = `const { env, argv } = process;
const variables = {};
for (const name of ${JSON.stringify(KEPT_VARIABLES)}) if (env[name] !== undefined) variables[name] = env[name];
const report = { script: argv[2], path: env.PATH, variables };
require('node:fs').writeFileSync(require('node:path').join(__dirname, '${REPORT_NAME}'), JSON.stringify(report), { mode: 0o600 });
`;

/** What npm would have run. */
export interface ShellReport {
  /** Name of the program. */
  readonly program: string;
  /** The folders of PATH. */
  readonly folders: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

/** Undefined for a text that the reporter has not written, and for a command line that is more than one word. */
export function readReport(text: string): ShellReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { script, path, variables } = (value ?? {}) as Record<string, unknown>;
  if (typeof script !== 'string' || typeof path !== 'string') return undefined;
  const program = wordIn(script.trim());
  if (program === undefined || program === '' || /[/\\]/.test(program)) return undefined;
  return { program, folders: path.split(':').filter(Boolean), variables: stringsIn(variables) };
}

/** npm 11 quotes the name by `'`, older ones by `"` or not at all. */
function wordIn(script: string): string | undefined {
  const [, single, double, plain] = /^(?:'([^']*)'|"([^"$`\\]*)"|([A-Za-z0-9@._-]+))$/.exec(script) ?? [];
  return single ?? double ?? plain;
}

export function stringsIn(value: unknown): Record<string, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
