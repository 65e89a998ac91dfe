import { type PackageSpec, packageSpec } from './package-spec.js';

// What a command line of npx asks for, as npx-cli.js and npm read it. Nothing here runs or reads anything.

/** A command line of `npx` or `npm exec`, in its parts. */
export interface PackagePlan {
  /** What comes before the options: `exec` for npm. */
  readonly subcommand: readonly string[];
  /** The options, as they are written; `--cache` is not among them. */
  readonly options: readonly string[];
  /** The folder that `--cache` names. */
  readonly cache: string | undefined;
  /** The packages to install. */
  readonly packages: readonly [PackageSpec, ...PackageSpec[]];
  /** What is run: a package, or, with `--package`, a program of one. */
  readonly word: string;
  /** The arguments of the server. */
  readonly args: readonly string[];
}

/** `refused`: the end of a sentence that begins with the command line. Undefined for another command. */
export type Planned = { readonly plan: PackagePlan } | { readonly refused: string } | undefined;

/** Options without a value. Others change what is run, or are not known; for these npx is started as it is written. */
const FLAGS: ReadonlySet<string> = new Set([
  ...['y', 'yes', 'no-install', 'q', 'quiet', 's', 'silent', 'd', 'dd', 'ddd', 'verbose', 'f', 'force'],
  ...['prefer-offline', 'prefer-online', 'offline', 'ignore-scripts', 'legacy-peer-deps', 'strict-peer-deps'],
  ...['no-audit', 'no-fund', 'no-update-notifier', 'no-progress', 'no-color', 'no-package-lock', 'foreground-scripts'],
  ...['no-strict-ssl', 'strict-allow-scripts', 'dangerously-allow-all-scripts'],
]);

const VALUED: ReadonlySet<string> = new Set([
  ...['package', 'cache', 'registry', 'userconfig', 'loglevel', 'tag', 'before', 'omit', 'include', 'allow-scripts'],
  ...['proxy', 'https-proxy', 'noproxy', 'cafile', 'fetch-timeout', 'fetch-retries', 'maxsockets'],
]);

const SUBCOMMANDS = ['exec', 'x'];

/** Reads a command line. */
export function planOf(command: string, args: readonly string[]): Planned {
  const tool = toolOf(command);
  if (tool === undefined) return undefined;
  if (tool === 'npx') return read([], args, true);
  const [subcommand = '', ...rest] = args;
  // `npm start`, `npm run x`: a script of a project, no package.
  return SUBCOMMANDS.includes(subcommand) ? read([subcommand], rest, false) : undefined;
}

function toolOf(command: string): 'npx' | 'npm' | undefined {
  const [, tool] = /(?:^|[/\\])(npx|npm)(?:\.cmd|\.exe|\.ps1)?$/i.exec(command) ?? [];
  return tool?.toLowerCase() as 'npx' | 'npm' | undefined;
}

interface Read {
  readonly options: string[];
  readonly packages: string[];
  cache: string | undefined;
  /** The word, and what follows it. */
  readonly words: string[];
}

function read(subcommand: readonly string[], args: readonly string[], isNpx: boolean): Planned {
  const found: Read = { options: [], packages: [], cache: undefined, words: [] };
  const refused = readInto(found, args, isNpx);
  if (refused !== undefined) return { refused };
  const [word, ...rest] = found.words;
  if (word === undefined || word === '') return { refused: 'names no package to run' };
  if (word.startsWith('-')) return { refused: 'names something to run that looks like an option' };
  const [first, ...others] = (found.packages.length > 0 ? found.packages : [word]).map(packageSpec);
  if (first === undefined) return { refused: 'names no package to run' };
  const packages = [first, ...others] as const;
  if (packages.some(({ kind }) => kind === 'local'))
    return { refused: 'names a folder or a file, which may change at any time' };
  const { options, cache } = found;
  return { plan: { subcommand, options, cache, packages, word, args: rest } };
}

/** Returns why it cannot be read. */
function readInto(found: Read, args: readonly string[], isNpx: boolean): string | undefined {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--') {
      found.words.push(...args.slice(index + 1));
      return undefined;
    }
    if (!arg.startsWith('-')) {
      found.words.push(arg);
      // npx stops at the first word. npm reads options behind it, too, up to `--`.
      if (isNpx) {
        found.words.push(...args.slice(index + 1));
        return undefined;
      }
      continue;
    }
    if (found.words.length > 0) return `has ${optionName(arg)} before '--', so npm reads it and not the server`;
    const [, name = '', given] = /^--?([^=]*)(?:=(.*))?$/s.exec(arg) ?? [];
    const key = isNpx && name === 'p' ? 'package' : name;
    const isShort = !arg.startsWith('--') && name.length > 1 && !['dd', 'ddd'].includes(name);
    if (FLAGS.has(key) && given === undefined && !isShort) {
      // npm would take it for the value.
      if (['true', 'false', 'null'].includes(args[index + 1] ?? '')) return `has a value for ${optionName(arg)}`;
      found.options.push(arg);
      continue;
    }
    if (!VALUED.has(key) || isShort) return `has ${optionName(arg)}, which is not understood here`;
    const value = given ?? args[++index];
    if (value === undefined || value === '' || (given === undefined && value.startsWith('-')))
      return `has ${optionName(arg)} without a value`;
    if (key === 'cache') found.cache = value;
    else found.options.push(`--${key}=${value}`);
    if (key === 'package') found.packages.push(value);
  }
  return undefined;
}

/** Its name alone: the value may be secret, and so may what is no name. */
function optionName(arg: string): string {
  const [name = ''] = arg.split('=', 1);
  return /^--?[a-z][a-z-]{0,39}$/.test(name) ? `the option ${name}` : 'an option';
}
