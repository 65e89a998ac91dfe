// The servers of docs/servers.md: how each is started, what its definition should say, and what the questions need to know of it.
//   command, args, env   of its definition; `/data` is a folder that the host gives it, `${…}` a key
//   keys                 dummies, where a server looks at its key
//   here                 arguments and variables of the machine that measures: a browser that runs as root
//   policy               the rest of its definition; recommended.test.ts holds it against what was measured
//   note                 for readers: what no figure says
//   unlike               where the policy is another one than measured facts recommend: why
//   prepare, work, state, together   see probes.js
import * as probes from './probes.js';

const npx = (...args) => ({ command: 'npx', args: ['-y', ...args] });
/** Written as in a configuration file. */
const key = (name) => `\${${name}}`;
const CHROMIUM = '/usr/bin/chromium';

export const popular = {
  everything: {
    ...npx('@modelcontextprotocol/server-everything'),
    policy: { sharing: 'shared' },
    note: 'The reference for tests of a client. The pool keeps log levels and subscriptions for each session.',
    ...probes.everything,
  },
  filesystem: {
    ...npx('@modelcontextprotocol/server-filesystem', '/data'),
    policy: { sharing: 'shared' },
    note: "Shared, its clients are not asked for roots, so its command line alone says what it may touch. Exclusive, with `clientCapabilities: { roots: {} }`, a client's roots replace it.",
    ...probes.filesystem,
  },
  memory: {
    ...npx('@modelcontextprotocol/server-memory'),
    env: { MEMORY_FILE_PATH: '/data/memory.json' },
    policy: { sharing: 'shared', maxInFlight: 1, maxInstances: 1 },
    note: 'Reads and writes its file without a lock: one process, one call at a time. A graph for each tenant needs a file for each: `perTenant`.',
    ...probes.memory,
  },
  'sequential-thinking': {
    ...npx('@modelcontextprotocol/server-sequential-thinking'),
    policy: { sharing: 'exclusive', reuse: 'owner' },
    note: 'One history of thoughts in the process, which grows with each call: `maxUses` or `maxLifetime` ends that.',
    ...probes.thinking,
  },
  playwright: {
    ...npx('@playwright/mcp', '--headless', '--isolated'),
    here: { args: ['--executable-path', CHROMIUM, '--no-sandbox'] },
    policy: { sharing: 'exclusive', reuse: 'owner', idleTimeout: 60_000 },
    note: 'The browser starts with the first page, and stays until the process ends: a short `idleTimeout` gives its memory back.',
    plainArgs: ['-y', '@playwright/mcp', '--headless'],
    ...probes.playwright,
  },
  'chrome-devtools': {
    ...npx('chrome-devtools-mcp', '--headless', '--isolated'),
    here: { args: ['--executablePath', CHROMIUM, '--chromeArg=--no-sandbox'] },
    policy: { sharing: 'exclusive', reuse: 'owner', idleTimeout: 60_000 },
    note: 'As playwright.',
    plainArgs: ['-y', 'chrome-devtools-mcp', '--headless'],
    ...probes.devtools,
  },
  puppeteer: {
    ...npx('@modelcontextprotocol/server-puppeteer'),
    here: { env: { PUPPETEER_EXECUTABLE_PATH: CHROMIUM } },
    policy: { sharing: 'exclusive', reuse: 'owner', idleTimeout: 60_000, eofGrace: 300 },
    note: 'No longer maintained. Its installation downloads a browser, unless `PUPPETEER_SKIP_DOWNLOAD` is set.',
    ...probes.puppeteer,
  },
  git: {
    ...npx('@cyanheads/git-mcp-server'),
    policy: { sharing: 'exclusive', reuse: 'owner' },
    note: 'Keeps the working folder that a client has set.',
    ...probes.git,
  },
  'desktop-commander': {
    ...npx('@wonderwhy-er/desktop-commander'),
    policy: { sharing: 'exclusive', reuse: 'owner', eofGrace: 300 },
    unlike: 'after a command it ends when the time limit of that is over, and to wait for it gains nothing',
    note: 'Runs commands of its client: their processes are in its tree, and end with it. Its settings are one file in the home folder, for all.',
    ...probes.commander,
  },
  sqlite: {
    ...npx('mcp-server-sqlite-npx', '/data/x.db'),
    policy: { sharing: 'shared' },
    note: 'Its installation downloads or compiles a native module.',
    ...probes.sqlite,
  },
  'mcp-sqlite': {
    ...npx('mcp-sqlite', '/data/x.db'),
    policy: { sharing: 'shared' },
    note: 'As sqlite.',
    ...probes.mcpSqlite,
  },
  dbhub: {
    ...npx('@bytebase/dbhub', '--dsn', 'sqlite:///data/x.db'),
    policy: { sharing: 'shared' },
    note: 'A database for each tenant: `args` of the call, or `perTenant`.',
    ...probes.dbhub,
  },
  context7: {
    ...npx('@upstash/context7-mcp'),
    policy: { sharing: 'shared' },
    note: 'Works without a key, within a limit of its service.',
  },
  github: {
    ...npx('@modelcontextprotocol/server-github'),
    env: { GITHUB_PERSONAL_ACCESS_TOKEN: key('GITHUB_TOKEN') },
    policy: { sharing: 'shared' },
    note: 'No longer maintained: GitHub has a server of its own, which is not on npm.',
  },
  gitlab: {
    ...npx('@zereight/mcp-gitlab'),
    env: { GITLAB_PERSONAL_ACCESS_TOKEN: key('GITLAB_TOKEN') },
    policy: { sharing: 'shared', eofGrace: 5_000 },
  },
  sentry: {
    ...npx('@sentry/mcp-server'),
    env: { SENTRY_ACCESS_TOKEN: key('SENTRY_TOKEN') },
    policy: { sharing: 'shared' },
    note: 'Before it ends it sends what it has to report, for up to 2 s: do not make `eofGrace` shorter.',
  },
  mongodb: {
    ...npx('mongodb-mcp-server'),
    env: { MDB_MCP_CONNECTION_STRING: key('MONGODB_URL') },
    keys: { MONGODB_URL: 'mongodb://127.0.0.1:1/none' },
    policy: { sharing: 'exclusive', reuse: 'owner' },
    unlike: 'a client can connect it to another database by a tool, and the next one would find it there',
    note: 'A client may connect it to another database.',
  },
  notion: {
    ...npx('@notionhq/notion-mcp-server'),
    env: { NOTION_TOKEN: key('NOTION_TOKEN') },
    keys: { NOTION_TOKEN: 'ntn_dummy' },
    policy: { sharing: 'shared' },
  },
  supabase: {
    ...npx('@supabase/mcp-server-supabase', '--read-only'),
    here: { args: ['--features=database'] },
    env: { SUPABASE_ACCESS_TOKEN: key('SUPABASE_TOKEN') },
    keys: { SUPABASE_TOKEN: 'sbp_dummy' },
    policy: { sharing: 'shared' },
    note: 'Its list of tools needs its service; here it was measured with `--features=database`, which does not.',
  },
  firecrawl: {
    ...npx('firecrawl-mcp'),
    env: { FIRECRAWL_API_KEY: key('FIRECRAWL_KEY') },
    keys: { FIRECRAWL_KEY: 'fc-dummy' },
    policy: { sharing: 'shared' },
  },
  figma: {
    ...npx('figma-developer-mcp', '--stdio'),
    env: { FIGMA_API_KEY: key('FIGMA_KEY') },
    policy: { sharing: 'shared' },
  },
  slack: {
    ...npx('@modelcontextprotocol/server-slack'),
    env: { SLACK_BOT_TOKEN: key('SLACK_TOKEN'), SLACK_TEAM_ID: key('SLACK_TEAM') },
    keys: { SLACK_TOKEN: 'xoxb-dummy', SLACK_TEAM: 'T0' },
    policy: { sharing: 'shared' },
    note: 'No longer maintained.',
  },
  brave: {
    ...npx('@brave/brave-search-mcp-server'),
    env: { BRAVE_API_KEY: key('BRAVE_KEY') },
    policy: { sharing: 'shared' },
  },
  tavily: {
    ...npx('tavily-mcp'),
    env: { TAVILY_API_KEY: key('TAVILY_KEY') },
    keys: { TAVILY_KEY: 'tvly-dummy' },
    policy: { sharing: 'shared' },
  },
  exa: {
    ...npx('exa-mcp-server'),
    env: { EXA_API_KEY: key('EXA_KEY') },
    policy: { sharing: 'shared' },
  },
  azure: {
    ...npx('@azure/mcp', 'server', 'start'),
    policy: { sharing: 'shared' },
  },
  postgres: {
    ...npx('@modelcontextprotocol/server-postgres', key('POSTGRES_URL')),
    keys: { POSTGRES_URL: 'postgresql://127.0.0.1:1/none' },
    policy: { sharing: 'shared' },
    note: 'No longer maintained. The address, with its password, is on the command line, where other users of the machine can see it: dbhub takes `DSN` as a variable.',
  },
  eslint: {
    ...npx('@eslint/mcp'),
    policy: { sharing: 'shared' },
    note: '`cwd` is the project: another project is another process.',
  },
  chart: {
    ...npx('@antv/mcp-server-chart'),
    policy: { sharing: 'shared' },
    note: 'Sends the data of a chart to a service, which draws it.',
  },
};
