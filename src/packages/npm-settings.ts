import { isAbsolute, join, resolve } from 'node:path';
import { INHERITED } from '../config/environment.js';

// What npm depends on beside its arguments. Nothing here reads a file: the texts of `.npmrc` are given.

type Variables = Readonly<Record<string, string>>;

/**
 * Variables that npm, or the install scripts of packages, read. Other variables of a server are for the server: npm does not
 * get them, so what it finds is the same for all servers and tenants that differ in others.
 */
const OF_NPM = [
  /^npm_/i,
  /^((https?|all|no)_proxy|proxy)$/i,
  /^(NODE_OPTIONS|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR|GIT_SSH|GIT_SSH_COMMAND|SSH_AUTH_SOCK)$/,
  /^(TMPDIR|TEMP|TMP|LANG|LC_ALL|XDG_[A-Z_]+)$/,
  // What these install depends on them: a browser, or none.
  /^(PUPPETEER|PLAYWRIGHT|ELECTRON|CHROMEDRIVER|SHARP|PRISMA)_/i,
];

/** The variables of a server that npm gets. @param configs the texts of `.npmrc`, which may name more (`${NPM_TOKEN}`) */
export function npmVariables(env: Variables, configs: readonly string[]): Record<string, string> {
  const named = new Set(configs.flatMap((text) => [...text.matchAll(/\$\{([^}?]+)\??\}/g)].map(([, name]) => name)));
  const isRead = (name: string) =>
    INHERITED.includes(name) || named.has(name) || OF_NPM.some((pattern) => pattern.test(name));
  return Object.fromEntries(Object.entries(env).filter(([name]) => isRead(name)));
}

/** The value of a setting in the environment: npm ignores case, and takes `-` and `_` for the same. */
export function npmSetting(env: Variables, name: string): string | undefined {
  const wanted = `npm_config_${name}`;
  const entry = Object.entries(env).find(([key]) => key.toLowerCase().replaceAll('-', '_') === wanted);
  return entry?.[1] === '' ? undefined : entry?.[1];
}

/** The cache of npm. @param configs the texts of `.npmrc` that may name it, the most important first */
export function cacheFolder(
  env: Variables,
  configs: readonly string[],
  { home, cwd }: { readonly home: string; readonly cwd: string },
): string {
  const written = npmSetting(env, 'cache') ?? configs.map((text) => settingIn(text, 'cache', env)).find(Boolean);
  if (written === undefined) return join(home, '.npm');
  const path = written.replace(/^~(?=[/\\]|$)/, home);
  return isAbsolute(path) ? path : resolve(cwd, path);
}

function settingIn(text: string, name: string, env: Variables): string | undefined {
  const [, value] = new RegExp(`^[ \\t]*${name}[ \\t]*=[ \\t]*(.+?)[ \\t]*$`, 'm').exec(text) ?? [];
  return value
    ?.replace(/^(["'])(.*)\1$/, '$2')
    .replace(/\$\{([^}?]+)\??\}/g, (whole, variable: string) => env[variable] ?? whole);
}
