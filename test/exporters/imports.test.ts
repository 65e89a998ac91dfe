import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const SRC = new URL('../../src/', import.meta.url);
const EXPORTERS = /^(exporters\/|prometheus\.ts$|opentelemetry\.ts$)/;

it('[CHANNEL-2] what a host does not import is not loaded: only the exporters import their peers, and nothing imports them', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const importing = (pattern: RegExp) => files.filter((file) => pattern.test(readFileSync(new URL(file, SRC), 'utf8')));
  for (const peer of ['prom-client', '@opentelemetry/api']) {
    const found = importing(new RegExp(`from '${peer}'`));
    expect(found.length).toBeGreaterThan(1);
    expect(found.filter((file) => !EXPORTERS.test(file))).toEqual([]);
  }
  const users = importing(/from '\.{1,2}\/(.*\/)?(exporters\/.*|prometheus|opentelemetry)\.js'/);
  expect(users.filter((file) => !EXPORTERS.test(file))).toEqual([]);
  // Nor do the two exporters need each other's peer.
  expect(importing(/from 'prom-client'/).filter((file) => importing(/from '@opentelemetry/).includes(file))).toEqual(
    [],
  );
});
