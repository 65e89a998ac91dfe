import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HealthMonitor, MCPServerPool, POOL_EVENTS, ResourceMonitor } from '../../src/index.js';
import { ROOT } from '../helpers/compiled.js';
import { catalog } from './catalog.js';
import { ERROR_ADVICE } from './error-advice.js';

const page = readFileSync(join(ROOT, 'docs/troubleshooting.md'), 'utf8');
const codes = [...page.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);

it('[DOCS-6] docs/troubleshooting.md names errors and events that exist', () => {
  const errors = Object.values(ERROR_ADVICE).flatMap((advice) => Object.keys(advice));
  const named = codes.filter((code) => /^[A-Z]+_[A-Z_]+$/.test(code));
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((code) => !errors.includes(code))).toEqual([]);
  const events = codes.filter((code) => /^[a-z-]+:[a-z-]+$/.test(code));
  expect(events.length).toBeGreaterThan(10);
  expect(events.filter((event) => !POOL_EVENTS.some((one) => one === event))).toEqual([]);
});

it('[DOCS-6] it names calls and options that exist', () => {
  const pool: Record<string, object> = {
    '': MCPServerPool.prototype,
    'health.': HealthMonitor.prototype,
    'monitor.': ResourceMonitor.prototype,
  };
  const calls = codes.flatMap((code) => [...code.matchAll(/\bpool\.((?:\w+\.)?)(\w+)\(/g)]);
  expect(calls.length).toBeGreaterThan(8);
  expect(calls.filter(([, part = '', name = '']) => !(name in (pool[part] ?? {})))).toEqual([]);
  const known = catalog();
  // `name: value`, as an option is written.
  const options = codes.flatMap((code) => /^(\w+): \S/.exec(code)?.[1] ?? []);
  expect(options.length).toBeGreaterThan(8);
  expect(options.filter((name) => !known.has(name))).toEqual([]);
  const paths = codes.filter((code) => /^(?:limits|restart|health|monitoring)\.\w+$/.test(code));
  expect(paths.length).toBeGreaterThan(5);
  expect(paths.filter((path) => !known.has(path))).toEqual([]);
});
