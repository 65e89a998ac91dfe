import { describe, expect, it } from 'vitest';
import { runHost } from './helpers/host.js';

describe('a polite guest', () => {
  it('[GUEST-3] [GUEST-1] sets no signal handler, writes nothing to the console, patches nothing', async () => {
    const { code, stdout, stderr } = await runHost(`
      import childProcess from 'node:child_process';
      import fs from 'node:fs';
      const watched = { childProcess, fs, console, process, globalThis, Promise, Array: Array.prototype, Error };
      const snapshot = () => Object.fromEntries(Object.entries(watched).map(([name, object]) => {
        const values = Object.entries(Object.getOwnPropertyDescriptors(object)).filter(([, { value }]) => typeof value === 'function');
        return [name, new Map(values.map(([key, { value }]) => [key, value]))];
      }));
      const listeners = () => Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)]));
      const before = { functions: snapshot(), listeners: listeners() };

      const { MCPServerPool } = await import(SRC + '/index.js');
      const fixture = (name, ...args) => ({
        command: process.execPath, args: [FIXTURES + '/' + name + '.js', ...args], inheritEnv: ['MCP_POOL_TEST'],
        eofGrace: 200, termGrace: 200,
      });
      const pool = new MCPServerPool({ servers: {
        echo: fixture('echo'),
        dying: fixture('dies-in-handshake'),
        noisy: fixture('noisy-stderr', '--mb=1'),
        stubborn: fixture('ignore-eof-and-term'),
        missing: { command: 'no-such-command' },
      } });
      const outcomes = [];
      for (const name of ['echo', 'dying', 'noisy', 'stubborn', 'missing']) {
        outcomes.push(await pool.getServer(name).then((lease) => lease.release(), (error) => error.code));
      }
      const during = { functions: snapshot(), listeners: listeners() };
      const report = await pool.shutdown();

      const patched = Object.entries(before.functions).flatMap(([name, functions]) =>
        [...functions].filter(([key, value]) => during.functions[name].get(key) !== value).map(([key]) => name + '.' + key));
      console.log(JSON.stringify({
        outcomes,
        patched,
        added: Object.entries(during.listeners).map(([name, count]) => [name, count - (before.listeners[name] ?? 0)]).filter(([, more]) => more > 0),
        survivors: report.survivors,
      }));
    `);
    expect(stderr).toBe('');
    // One line, so nothing but this was written.
    expect(JSON.parse(stdout)).toEqual({
      outcomes: [true, 'SERVER_EXITED', true, true, 'COMMAND_NOT_FOUND'],
      patched: [],
      // In the last moment of the host what still runs is killed; one listener for all of it, and no handler of a signal.
      added: [['exit', 1]],
      survivors: [],
    });
    expect(code).toBe(0);
  });
});
