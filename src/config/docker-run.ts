// What is missing in a command line of `docker run` that starts a server. Nothing here runs or reads anything.

/** A sentence that says what follows from it, and what to write. */
interface ConfigWarning {
  readonly code: 'docker-without-rm' | 'docker-without-init' | 'docker-without-stdin' | 'docker-with-name';
  readonly message: string;
}

/** A definition that works, but will cause trouble. */
export interface ConfigWarned extends ConfigWarning {
  /** Name of the server. */
  readonly name: string;
}

/** Options without a value. All others have one: in the same word after `=`, or in the next one. */
const FLAGS: ReadonlySet<string> = new Set([
  ...['detach', 'disable-content-trust', 'help', 'init', 'interactive', 'no-healthcheck', 'oom-kill-disable'],
  ...['privileged', 'publish-all', 'quiet', 'read-only', 'rm', 'sig-proxy', 'tty', 'use-api-socket'],
  // Those of podman.
  ...['env-host', 'http-proxy', 'no-hosts', 'no-hostname', 'passwd', 'replace', 'rmi', 'rootfs', 'tls-verify'],
]);
const SHORT: Readonly<Record<string, string>> = {
  d: 'detach',
  i: 'interactive',
  P: 'publish-all',
  q: 'quiet',
  t: 'tty',
};
/** Options of docker itself that have a value. */
const GLOBAL = [
  '--config',
  '--context',
  '-c',
  '--host',
  '-H',
  '--log-level',
  '-l',
  '--tlscacert',
  '--tlscert',
  '--tlskey',
];

/** The warnings for a definition. Empty for what is no `docker run`. */
export function dockerWarnings({ command, args }: { readonly command: string; readonly args: readonly string[] }) {
  const options = /(?:^|[/\\])(?:docker|podman)(?:\.exe)?$/i.test(command) ? optionsOfRun(args) : undefined;
  return options === undefined
    ? []
    : WARNINGS.filter(({ isDue }) => isDue(options)).map(({ isDue: _, ...rest }) => rest);
}

type Options = ReadonlyMap<string, string>;

const isOff = (options: Options, name: string) => (options.get(name) ?? 'false') === 'false';

const WARNINGS: readonly (ConfigWarning & { isDue(options: Options): boolean })[] = [
  {
    code: 'docker-without-rm',
    isDue: (options) => isOff(options, 'rm'),
    message: 'each start leaves a container behind, since docker keeps those that have ended; add --rm to args',
  },
  {
    code: 'docker-without-init',
    isDue: (options) => isOff(options, 'init'),
    message:
      'the server is process 1 of its container: it ignores SIGTERM unless it handles it, and what it starts is left as zombies; add --init to args',
  },
  {
    code: 'docker-without-stdin',
    isDue: (options) => isOff(options, 'interactive'),
    message: 'the container gets no stdin, so no message reaches the server; add -i to args',
  },
  {
    code: 'docker-with-name',
    isDue: (options) => options.has('name'),
    message:
      'docker refuses a second container of one name, also while the first one ends: no second instance can be started, and a restart may fail; leave --name out, or use --label',
  },
];

/** The options before the image, the last value of each. */
function optionsOfRun(args: readonly string[]): Options | undefined {
  const rest = afterRun(args);
  if (rest === undefined) return undefined;
  const options = new Map<string, string>();
  for (let index = 0; index < rest.length; index++) {
    const arg = rest[index] ?? '';
    if (arg === '--' || !arg.startsWith('-') || arg === '-') break;
    if (arg.startsWith('--')) {
      const [name = '', value] = arg.slice(2).split(/=(.*)/s, 2);
      if (value !== undefined) options.set(name, value);
      else if (FLAGS.has(name)) options.set(name, 'true');
      else options.set(name, rest[++index] ?? '');
    } else if (readShort(arg, options)) index++;
  }
  return options;
}

/** Reads `-it`, `-v` or `-eNAME`. True when its value is the next word. */
function readShort(arg: string, options: Map<string, string>): boolean {
  for (let place = 1; place < arg.length; place++) {
    const flag = SHORT[arg[place] ?? ''];
    // It has a value, which is the rest of the word.
    if (flag === undefined) return place === arg.length - 1;
    const isSet = arg.slice(place + 1).startsWith('=') ? arg.slice(place + 2) : undefined;
    options.set(flag, isSet ?? 'true');
    if (isSet !== undefined) return false;
  }
  return false;
}

/** What follows `run`, or `container run`. */
function afterRun(args: readonly string[]): readonly string[] | undefined {
  let index = 0;
  while (args[index]?.startsWith('-')) index += GLOBAL.includes(args[index] ?? '') ? 2 : 1;
  if (args[index] === 'container') index += 1;
  return args[index] === 'run' ? args.slice(index + 1) : undefined;
}
