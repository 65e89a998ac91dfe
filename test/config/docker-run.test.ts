import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dockerWarnings } from '../../src/config/docker-run.js';
import { MCPServerPool } from '../../src/index.js';
import { flush } from '../helpers/until.js';

const codes = (command: string, ...args: string[]) =>
  dockerWarnings({ command, args }).map(({ code }) => code.replace('docker-', ''));

describe('[PACKAGES-15] a docker run that will cause trouble is a warning', () => {
  it.each([
    [['docker', 'run', '-i', '--rm', '--init', 'image', '--name', 'x'], []],
    [
      ['docker', 'run', 'image'],
      ['without-rm', 'without-init', 'without-stdin'],
    ],
    [['docker', 'run', '-it', '--rm=true', '--init=false', 'image'], ['without-init']],
    [['/usr/bin/docker', 'run', '-i', '--rm', '--init', '--name', 'x', 'image'], ['with-name']],
    [['podman', 'run', '-i', '--rm', '--init', '--name=x', 'image'], ['with-name']],
    [['docker', '--context', 'run', 'container', 'run', '-i', '--init', 'image'], ['without-rm']],
    [['docker', 'run', '-e', '--rm', '-v', '/a:/b', '-i', '--init', 'image', '--rm'], ['without-rm']],
    [['docker', 'run', '-eX=i', '-itv', '/a:/b', '--rm', '--init', 'image'], []],
    [['docker', 'run', '-ie', 'NAME', '--rm', '--init', 'image'], []],
    [['docker', 'run', '--rm', '--init', '-i', '--', 'image'], []],
    [['docker', 'exec', '-i', 'x', 'y'], []],
    [['docker', 'compose', 'run', 'x'], []],
    [['my-docker', 'run', 'image'], []],
  ])('%j', ([command = '', ...args], expected) => {
    expect(codes(command, ...args)).toEqual(expected);
  });

  it('whatever the words are, it is read', () => {
    const word = fc.oneof(fc.constantFrom('run', '--rm', '-i', '-it=', '--name', '-', '--', '--=', '-='), fc.string());
    fc.assert(fc.property(fc.array(word), (args) => void codes('docker', 'run', ...args)));
  });

  it('it is an event of the pool: for what it is made with, and what is added or changed', async () => {
    const bad = { command: 'docker', args: ['run', '-i', '--rm', 'image', 'secret'] };
    const pool = new MCPServerPool({ servers: { made: bad } });
    const warned: { name: string; message: string }[] = [];
    pool.on('config:warned', (event) => warned.push(event));
    await flush();
    pool.addServer('added', bad);
    pool.setServer('set', bad);
    pool.setServer('set', { ...bad, args: ['run', '-i', '--rm', 'image', 'other'] });
    pool.setServer('set', { ...bad, args: ['run', '-i', '--rm', 'image', 'other'] });
    expect(warned.map(({ name }) => name)).toEqual(['made', 'added', 'set', 'set']);
    expect(warned[0]?.message).toContain('--init');
    expect(JSON.stringify(warned)).not.toContain('secret');
    await pool.shutdown();
  });
});
