// What all benchmarks share: rounds in which ours and its peers take turns, and figures that are judged against a target.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { getDefaultEnvironment } from '@modelcontextprotocol/sdk/client/stdio.js';

/** @typedef {{ what: string, peer: string, value: string, target: string, pass: boolean, spread: string, note: string }} Row */

/** Runs a benchmark and hands its rows to run.js, or prints them when the file was started by itself. */
export async function benchmark(name, run) {
  /** @type {Row[]} */
  const rows = [];
  console.log(`\n${name}`);
  await run((row) => {
    rows.push(row);
    console.log(describe(row));
  });
  if (process.send) await new Promise((resolve) => process.send(rows, resolve));
  // Servers of peers may still hold this process; they end with their stdin.
  process.exit(process.send || rows.every(({ pass }) => pass) ? 0 : 1);
}

/**
 * Lets the sides take turns and returns the milliseconds of each, round by round. Whatever else the machine does hits the
 * sides of one round alike; every other round goes in reverse order, so that none always comes first.
 *
 * @template {string} S
 * @param {Record<S, (round: number) => Promise<number>>} sides each returns its milliseconds
 * @param {{ rounds: number, warmUp?: number, seconds?: number }} options after `seconds` no further round begins
 * @returns {Promise<Record<S, number[]>>}
 */
export async function takeTurns(sides, { rounds, warmUp = 1, seconds = 20 }) {
  const names = Object.keys(sides);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const end = performance.now() + seconds * 1000;
  for (let round = -warmUp; round < rounds; round++) {
    if (round > 0 && performance.now() > end) break;
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      collectGarbage();
      const time = await sides[name](round);
      if (round >= 0) times[name].push(time);
    }
  }
  return times;
}

/** So that no side pays for the garbage of the one before; what a side drops while it is measured is its own affair. */
function collectGarbage() {
  globalThis.gc?.();
}

/** Collects garbage, and waits until the memory has really been given back, which a thread of its own does. */
export async function settleMemory() {
  collectGarbage();
  await sleep(20);
}

/** The milliseconds that `task` takes. */
export async function timed(task) {
  const started = performance.now();
  await task();
  return performance.now() - started;
}

/** The CPU time of this process while `task` runs, ms. */
export async function cpuOf(task) {
  const before = process.cpuUsage();
  await task();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** The official server that the times of starts are measured with. */
export const everythingServer = {
  command: process.execPath,
  args: [fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'))],
};

/** A server started by hand, as a transport with nothing to it: the least that starting one and talking to it takes. */
export class BareTransport {
  #child;
  onmessage = (_message) => {};

  constructor({ command, args }) {
    // The same few variables that ours hands on; a group of its own, which can be ended as a whole.
    const options = { env: getDefaultEnvironment(), stdio: ['pipe', 'pipe', 'ignore'], detached: true };
    this.#child = spawn(command, args, options);
    let rest = '';
    this.#child.stdout.setEncoding('utf8').on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) this.onmessage(JSON.parse(line));
    });
  }

  async start() {}

  async send(message) {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  /** Kills all of it, and waits until nothing holds its pipes. */
  async close() {
    const closed = once(this.#child, 'close');
    process.kill(-this.#child.pid, 'SIGKILL');
    await closed;
  }
}

/** Sends a request in raw JSON-RPC, and returns its result. */
export function ask(transport, id, method, params = {}) {
  return new Promise((resolve, reject) => {
    transport.onmessage = (message) => {
      if (message.id !== id || message.method !== undefined) return;
      if (message.error) reject(new Error(JSON.stringify(message.error)));
      else resolve(message.result);
    };
    transport.send({ jsonrpc: '2.0', id, method, params }).catch(reject);
  });
}

export const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'bench', version: '1.0.0' },
};

/** What a client begins with: `initialize`, and the list of tools. */
export async function beginSession(transport) {
  await transport.start();
  await ask(transport, 1, 'initialize', INITIALIZE);
  transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  const { tools } = await ask(transport, 2, 'tools/list');
  if (!Array.isArray(tools)) throw new Error('no list of tools came');
}

/** From the spawn of a server to its first list of tools, ms. */
export async function bareStart(server) {
  let transport;
  const time = await timed(() => {
    transport = new BareTransport(server);
    return beginSession(transport);
  });
  await transport.close();
  return time;
}

/** How many times as fast as the peer ours is: the median over the rounds, each of which compares its own two times. */
export function ratioRow({ what, peer, ours, theirs, target }) {
  const ratios = ours.map((time, round) => theirs[round] / time);
  return {
    what,
    peer,
    value: `${short(median(ratios))}x`,
    target: `>= ${target}x`,
    pass: median(ratios) >= target,
    spread: `${short(quantile(ratios, 0.25))}x – ${short(quantile(ratios, 0.75))}x`,
    note: `${ratios.length} rounds, medians ${short(median(ours))} and ${short(median(theirs))} ms`,
  };
}

/** How many times as long as the peer ours takes: the median over the rounds, each of which compares its own two times. */
export function shareRow({ what, peer, ours, theirs, target }) {
  const shares = ours.map((time, round) => time / theirs[round]);
  return {
    what,
    peer,
    value: `${short(median(shares))}x`,
    target: `<= ${target}x`,
    pass: median(shares) <= target,
    spread: `${short(quantile(shares, 0.25))}x – ${short(quantile(shares, 0.75))}x`,
    note: `${shares.length} rounds, medians ${short(median(ours))} and ${short(median(theirs))} ms`,
  };
}

/** How many times as long as the peer ours takes: the upper end of the 95 % interval of the median must be below the target. */
export function intervalRow({ what, peer, ours, theirs, target }) {
  const shares = ours.map((time, round) => time / theirs[round]);
  const [low, high] = medianInterval(shares);
  return {
    what,
    peer,
    value: `${median(shares).toFixed(3)}x`,
    target: `95 % < ${target}x`,
    pass: shares.length >= 30 && high < target,
    spread: `${low.toFixed(3)}x – ${high.toFixed(3)}x (95 %)`,
    note: `${low.toFixed(3)} – ${high.toFixed(3)}x, ${shares.length} pairs, medians ${short(median(ours))} and ${short(median(theirs))} ms`,
  };
}

/** The 95 % interval of the median by order statistics: how many of the values are below it is binomial. */
export function medianInterval(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const { length } = sorted;
  let below = 0;
  // P(at most `below` of them are below the median), begun with none.
  for (let p = 0.5 ** length, sum = p; sum <= 0.025; sum += p) {
    below += 1;
    p *= (length - below + 1) / below;
  }
  return [sorted[Math.max(0, below - 1)], sorted[Math.min(length - 1, length - below)]];
}

/** How many milliseconds ours takes more than the peer: the median over the rounds. */
export function differenceRow({ what, peer, ours, theirs, target }) {
  const differences = ours.map((time, round) => time - theirs[round]);
  return {
    what,
    peer,
    value: `${short(median(differences))} ms`,
    target: `<= ${target} ms`,
    pass: median(differences) <= target,
    spread: `${short(quantile(differences, 0.25))} – ${short(quantile(differences, 0.75))} ms`,
    note: `${differences.length} rounds, medians ${short(median(ours))} and ${short(median(theirs))} ms`,
  };
}

/** How much one of something takes: the median over the rounds. */
export function amountRow({ what, peer, unit, amounts, target }) {
  return {
    what,
    peer,
    value: `${short(median(amounts))} ${unit}`,
    target: `<= ${target} ${unit}`,
    pass: median(amounts) <= target,
    spread: `${short(quantile(amounts, 0.25))} – ${short(quantile(amounts, 0.75))} ${unit}`,
    note: `${amounts.length} rounds`,
  };
}

export function median(values) {
  return quantile(values, 0.5);
}

export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)];
  return below + (sorted[Math.ceil(place)] - below) * (place % 1);
}

/** The rows as a table. */
export function table(rows) {
  const columns = ['what', 'peer', 'value', 'target', 'spread'];
  const cells = [
    ['', 'against', 'result', 'target', 'middle half of the rounds', ''],
    ...rows.map((row) => [...columns.map((column) => row[column]), row.pass ? 'PASS' : 'FAIL']),
  ];
  const widths = columns.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  return cells.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n');
}

function describe({ what, peer, value, target, pass, note }) {
  return `  ${pass ? 'PASS' : 'FAIL'}  ${what}: ${value} against ${peer} (target ${target}; ${note})`;
}

function short(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(2 + (Math.abs(value) >= 10));
}
