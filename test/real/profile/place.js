// Where servers are installed and keep their data while they are measured: a folder outside of the repository, with a cache of npm
// and a home of its own. So nothing of the user is read or changed, but for its `.npmrc`.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { MCPServerPool } from 'mcp-server-pool';

/** Longest start, ms: with the installation of the package. */
const START_TIMEOUT = 180_000;
/** In definitions: the folder that the host gives a server, and a key. */
const DATA = /\/data(?=\/|$)/;
const KEY = /\$\{(\w+)\}/g;

export class Place {
  #folder;
  #pools = new Set();
  #drafts = [];

  /** @param folder kept between runs, so that each package is downloaded once */
  constructor(folder = join(tmpdir(), 'mcp-server-pool-profile')) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /**
   * A pool with these servers, each with an empty folder of data.
   * @param subjects by name, as in popular.js
   * @param policy replaces what the definitions say
   * @param options of the pool
   */
  open(subjects, policy = {}, options = {}) {
    const data = {};
    const servers = Object.entries(subjects).map(([name, subject]) => {
      data[name] = this.#draft('data-');
      subject.prepare?.(data[name]);
      return [name, { ...this.#placed(subject, data[name], options.cache), ...policy }];
    });
    const { cache: _, ...poolOptions } = options;
    const pool = new MCPServerPool({
      servers: Object.fromEntries(servers),
      resolvePackages: true,
      acquireTimeout: START_TIMEOUT,
      limits: { maxProcesses: 50 },
      ...poolOptions,
    });
    this.#pools.add(pool);
    return { pool, data };
  }

  /** Ends a pool. @throws Error when processes are left */
  async close(pool) {
    this.#pools.delete(pool);
    const { survivors } = await pool.shutdown({ timeout: 30_000 });
    if (survivors.length > 0) throw new Error(`left: ${survivors.map(({ command }) => command).join(', ')}`);
  }

  /** An empty cache of npm. */
  emptyCache() {
    return this.#draft('npm-');
  }

  /** Ends what is open, and removes all but the installed packages. */
  async clear() {
    await Promise.allSettled([...this.#pools].map((pool) => pool.shutdown({ mode: 'emergency' })));
    for (const draft of this.#drafts) rmSync(draft, { recursive: true, force: true });
    this.#drafts = [];
  }

  /** Empty, and always the same for a command line: npm is asked again where its home is another one. */
  #home(args) {
    const home = join(this.#folder, `home-${createHash('sha256').update(args.join(' ')).digest('hex').slice(0, 12)}`);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home);
    return home;
  }

  #draft(prefix) {
    const draft = mkdtempSync(join(this.#folder, prefix));
    this.#drafts.push(draft);
    return draft;
  }

  /** The definition with its folder, its home and dummies for keys. Values of the host's environment do not reach it. */
  #placed({ command, args, env = {}, keys = {}, here = {} }, data, cache = join(this.#folder, 'npm')) {
    const filled = (value) => value.replace(DATA, data).replace(KEY, (_, name) => keys[name] ?? 'dummy');
    const userConfig = join(homedir(), '.npmrc');
    return {
      command,
      args: [...args.map(filled), ...(here.args ?? [])],
      startTimeout: START_TIMEOUT,
      cwd: data,
      inheritEnv: Object.keys(process.env).filter((name) =>
        /_CERTS?$|^CERT|^SSL_CERT|^(https?|no|all)_proxy$/i.test(name),
      ),
      env: {
        HOME: this.#home(args),
        npm_config_cache: cache,
        npm_config_update_notifier: 'false',
        ...(existsSync(userConfig) ? { npm_config_userconfig: userConfig } : {}),
        PUPPETEER_SKIP_DOWNLOAD: 'true',
        ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, filled(value)])),
        ...here.env,
      },
    };
  }
}
