import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingIn } from '../../src/packages/npm-question.js';
import { cacheFolder, npmVariables } from '../../src/packages/npm-settings.js';
import { planOf } from '../../src/packages/npx-plan.js';
import { type PackageRecord, parseRecord, recordText } from '../../src/packages/package-record.js';
import { packageRequest } from '../../src/packages/package-request.js';
import { programKind } from '../../src/packages/program-start.js';
import { readReport } from '../../src/packages/resolve-shell.js';
import { newFolder } from '../helpers/folders.js';

describe('[PACKAGES-12] what the answer of npm depends on', () => {
  const env = { HOME: '/home/u', PATH: '/bin', TOKEN: 'x', NPM_TOKEN: 'y', npm_config_Registry: 'r', HTTPS_PROXY: 'p' };

  it('npm gets what it reads, and what .npmrc names; other variables are for the server alone', () => {
    expect(Object.keys(npmVariables(env, []))).toEqual([
      ...['HOME', 'PATH', 'NPM_TOKEN', 'npm_config_Registry', 'HTTPS_PROXY'],
    ]);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: npm replaces it
    expect(npmVariables(env, ['//r/:_authToken=${TOKEN}'])).toHaveProperty('TOKEN', 'x');
  });

  it.each([
    [{}, [], '/home/u/.npm'],
    [{ NPM_CONFIG_CACHE: '/c' }, ['cache=/d'], '/c'],
    [{}, ['a=b\n cache = "/d" \n', 'cache=/e'], '/d'],
    [{}, ['', 'cache=~/e'], '/home/u/e'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: npm replaces it
    [{ X: '/x' }, ['cache=${X}/e'], '/x/e'],
    [{ npm_config_cache: 'rel' }, [], '/work/rel'],
  ])('the cache of %j and %j is %s', (variables, configs, expected) => {
    expect(cacheFolder(variables as never, configs, { home: '/home/u', cwd: '/work' })).toBe(expected);
  });

  it('the same key for tenants, another one for another setting, package or project', () => {
    const [home, cwd] = [newFolder(), newFolder()];
    const keyOf = (more: object = {}, args = ['-y', 'pkg', 'argument'], folder = cwd) => {
      const asked = {
        name: 'a',
        command: 'npx',
        args,
        cwd: folder,
        resolvedEnv: { HOME: home, PATH: process.env.PATH!, ...more },
      };
      const planned = planOf('npx', args) as { plan: never };
      return packageRequest(asked, planned.plan).key;
    };
    const key = keyOf();
    expect(keyOf({ API_KEY: 'of a tenant' })).toBe(key);
    expect(keyOf({}, ['-y', 'pkg', 'other'])).toBe(key);
    expect(keyOf({}, ['-y', 'pkg'], newFolder())).toBe(key);
    const others = [
      keyOf({ npm_config_registry: 'http://r' }),
      keyOf({}, ['-y', 'pkg@2']),
      keyOf({}, ['--ignore-scripts', 'pkg']),
    ];
    writeFileSync(join(home, '.npmrc'), 'registry=x');
    others.push(keyOf());
    writeFileSync(join(cwd, '.npmrc'), 'registry=x');
    others.push(keyOf());
    mkdirSync(join(cwd, 'node_modules'));
    writeFileSync(join(cwd, 'node_modules', '.package-lock.json'), '{}');
    others.push(keyOf());
    expect(new Set([key, ...others]).size).toBe(others.length + 1);
  });
});

describe('[PACKAGES-13] what npm and files say is read, or is nothing', () => {
  it('its words for a package that it would install', () => {
    const text = 'npm error npx canceled due to missing packages and no YES option: ["@a/b@1.0.0","c@2.0.0-x"]\n';
    expect(missingIn(text)).toEqual([
      ['@a/b', '1.0.0'],
      ['c', '2.0.0-x'],
    ]);
    expect(missingIn('npm error code E404')).toBeUndefined();
  });

  it.each([
    ["'server'", 'server'],
    ['"server"', 'server'],
    ['server', 'server'],
    ["'it'\\''s'", undefined],
    ['server arg', undefined],
    ["'../server'", undefined],
    ['"$(x)"', undefined],
    ['', undefined],
  ])('the command line %s of a shell runs %s', (script, program) => {
    const report = readReport(JSON.stringify({ script, path: '/a:/b', variables: { NODE: '/n', x: 1 } }));
    expect(report?.program).toBe(program);
    if (report) expect(report).toMatchObject({ folders: ['/a', '/b'], variables: { NODE: '/n' } });
  });

  it.each([
    ['#!/usr/bin/env node\n', 'node'],
    ['#! /bin/env  node \r\n', 'node'],
    ['#!/usr/bin/env -S node --x\n', 'itself'],
    ['#!/usr/local/bin/node\n', 'itself'],
    ['#!/bin/sh\n', 'itself'],
    ['\x7fELF', 'itself'],
    ['', 'itself'],
  ])('%j is started by %s', (head, kind) => expect(programKind(head)).toBe(kind));

  it('a record as it was written, and no other text', () => {
    const record: PackageRecord = {
      ...{ program: '/a', kind: 'node', name: 'a', version: '1', folders: ['/b'], variables: { NODE: 'n' } },
      ...{ installed: 'v-abcdef', checkedAt: 1 },
    };
    expect(parseRecord(recordText(record))).toEqual(record);
    const wrong = [
      ...[{ program: 'a' }, { kind: 'shell' }, { version: 1 }, { folders: [1] }, { installed: '../..' }],
      { checkedAt: null },
    ];
    for (const change of wrong)
      expect(parseRecord(JSON.stringify({ ...JSON.parse(recordText(record)), ...change }))).toBe(undefined);
    for (const text of ['', 'null', '[]', '{"format":2}']) expect(parseRecord(text)).toBe(undefined);
  });
});
