// What a client does with the servers that can work here without a key.
//   prepare(data)    before a start
//   work(caller, data)   one piece of work
//   state            leave(caller, data) by one client, see(caller, data) by the next: whether it finds that
//   together         call(caller, index, data) by many clients at once; right(results, caller, data): how many were served right
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

const folderOf = (data, index) => join(data, `repository-${index}`);
/** Results that are what this client expects of its own call. */
const counts = (results, isRight) =>
  results.filter(({ status, value }, index) => status === 'fulfilled' && isRight(value, index)).length;
const page = (text) => `data:text/html,<title>${text}</title><h1>${text}</h1>`;
/** Each client finds its own page: its title, after all have opened theirs. */
const ownPage = (open) => ({
  call: async (caller, index) => {
    await open.open(caller, page(`page-${index}`));
    return open.title(caller);
  },
  right: (results) => counts(results, (text, index) => new RegExp(`page-${index}\\b`).test(text)),
});

export const everything = {
  work: (caller) => caller.call('get-sum', { a: 1, b: 2 }),
  together: {
    call: (caller, index) => caller.call('get-sum', { a: index, b: 1_000 }),
    right: (results) => counts(results, (text, index) => text.includes(` ${index + 1_000}`)),
  },
};

export const filesystem = {
  work: (caller, data) => caller.call('write_file', { path: join(data, 'work.txt'), content: 'work' }),
  together: {
    call: async (caller, index, data) => {
      const path = join(data, `${index}.txt`);
      await caller.call('write_file', { path, content: `content ${index}` });
      return caller.call('read_text_file', { path });
    },
    right: (results) => counts(results, (text, index) => text.trim() === `content ${index}`),
  },
};

const entity = (name) => ({ entities: [{ name, entityType: 'probe', observations: [] }] });
export const memory = {
  work: (caller) => caller.call('create_entities', entity('work')),
  together: {
    call: (caller, index) => caller.call('create_entities', entity(`entity ${index}`)),
    // All are answered well. What counts is what is in the file.
    right: async (_, caller) => JSON.parse(await caller.call('read_graph')).entities.length,
  },
};

const think = async (caller) => {
  const thought = { thought: 'one', thoughtNumber: 1, totalThoughts: 1, nextThoughtNeeded: false };
  return JSON.parse(await caller.call('sequentialthinking', thought)).thoughtHistoryLength;
};
export const thinking = {
  work: think,
  state: { leave: think, see: async (caller) => (await think(caller)) > 1 },
  together: { call: think, right: (results) => counts(results, (length) => length === 1) },
};

const playwrightPages = {
  open: (caller, url) => caller.call('browser_navigate', { url }),
  title: (caller) => caller.call('browser_evaluate', { function: '() => document.title' }),
};
export const playwright = browser(playwrightPages);

const devtoolsPages = {
  open: async (caller, url) => caller.call('navigate_page', { pageId: await firstPage(caller), type: 'url', url }),
  title: async (caller) =>
    caller.call('evaluate_script', { pageId: await firstPage(caller), function: '() => document.title' }),
};
async function firstPage(caller) {
  const [, id] = /^(\d+):/m.exec(await caller.call('list_pages')) ?? [];
  return Number(id);
}
export const devtools = browser(devtoolsPages);

/** As root a browser has no sandbox. */
const launchOptions = { headless: true, args: ['--no-sandbox'] };
export const puppeteer = browser({
  open: (caller, url) => caller.call('puppeteer_navigate', { url, launchOptions, allowDangerous: true }),
  title: (caller) => caller.call('puppeteer_evaluate', { script: 'document.title' }),
});

function browser(pages) {
  return {
    work: async (caller) => {
      await pages.open(caller, page('work'));
      const title = await pages.title(caller);
      if (!title.includes('work')) throw new Error(`its page is ${title}`);
    },
    state: {
      leave: (caller) => pages.open(caller, page('left')),
      see: async (caller) => (await pages.title(caller).catch(() => '')).includes('left'),
    },
    together: ownPage(pages),
  };
}

export const git = {
  prepare: (data) => {
    for (let index = 0; index < 20; index += 1) {
      const folder = folderOf(data, index);
      mkdirSync(folder);
      execFileSync('git', ['init', '-q', '-b', `branch-${index}`, folder]);
    }
  },
  work: async (caller, data) => {
    await caller.call('git_set_working_dir', { path: folderOf(data, 0) });
    return caller.call('git_status');
  },
  state: {
    leave: (caller, data) => caller.call('git_set_working_dir', { path: folderOf(data, 1) }),
    see: async (caller) => (await caller.call('git_status').catch(() => '')).includes('branch-1'),
  },
  together: {
    call: async (caller, index, data) => {
      await caller.call('git_set_working_dir', { path: folderOf(data, index) });
      return caller.call('git_status');
    },
    right: (results) => counts(results, (text, index) => new RegExp(`branch-${index}\\b`).test(text)),
  },
};

export const commander = {
  work: (caller) => caller.call('start_process', { command: 'echo work', timeout_ms: 5_000 }),
  state: {
    leave: (caller) => caller.call('start_process', { command: 'sleep 90', timeout_ms: 500 }),
    see: async (caller) => /\b\d+\b/.test(await caller.call('list_sessions')),
  },
  together: {
    call: (caller, index) => caller.call('start_process', { command: `echo word-${index}.`, timeout_ms: 10_000 }),
    right: (results) => counts(results, (text, index) => text.includes(`word-${index}.`)),
  },
};

/** Each client inserts a row of its own, and reads it. */
function database({ write, read }) {
  const table = 'CREATE TABLE IF NOT EXISTS rows (number INTEGER)';
  return {
    work: async (caller) => {
      await write(caller, table, true);
      await write(caller, 'INSERT INTO rows VALUES (1)');
      return read(caller, 'SELECT count(*) FROM rows');
    },
    together: {
      call: async (caller, index) => {
        await write(caller, table, true);
        await write(caller, `INSERT INTO rows VALUES (${7_000 + index})`);
        return read(caller, `SELECT number FROM rows WHERE number = ${7_000 + index}`);
      },
      right: (results) => counts(results, (text, index) => text.includes(`${7_000 + index}`)),
    },
  };
}

export const sqlite = database({
  write: (caller, query, isTable) => caller.call(isTable ? 'create_table' : 'write_query', { query }),
  read: (caller, query) => caller.call('read_query', { query }),
});
const bySql = (tool) => (caller, sql) => caller.call(tool, { sql });
export const mcpSqlite = database({ write: bySql('query'), read: bySql('query') });
export const dbhub = database({ write: bySql('execute_sql'), read: bySql('execute_sql') });
