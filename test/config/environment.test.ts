import { describe, expect, it } from 'vitest';
import { resolveEnvironment } from '../../src/config/environment.js';

const host = {
  HOME: '/home/me',
  LOGNAME: 'me',
  PATH: '/usr/bin:/bin',
  SHELL: '/bin/sh',
  TERM: 'xterm',
  USER: 'me',
  AWS_SECRET_ACCESS_KEY: 'host-secret',
  NODE_OPTIONS: '--inspect',
  LD_PRELOAD: '/evil.so',
  LANG: 'C.UTF-8',
};

describe('resolveEnvironment', () => {
  it('[SECRET-2] passes on the allow-list and nothing else', () => {
    expect(Object.keys(resolveEnvironment({}, [], host)).sort()).toEqual([
      'HOME',
      'LOGNAME',
      'PATH',
      'SHELL',
      'TERM',
      'USER',
    ]);
  });

  it('[SECRET-2] passes on what inheritEnv names, and only if the host has it', () => {
    const env = resolveEnvironment({}, ['LANG', 'NOT_THERE'], host);
    expect(env).toMatchObject({ LANG: 'C.UTF-8' });
    expect(env).not.toHaveProperty('NOT_THERE');
    expect(env).not.toHaveProperty('AWS_SECRET_ACCESS_KEY');
  });

  it('[SECRET-2] lets env win over both', () => {
    const env = resolveEnvironment({ PATH: '/opt/bin', LANG: 'de', TOKEN: 't' }, ['LANG'], host);
    expect(env).toMatchObject({ PATH: '/opt/bin', LANG: 'de', TOKEN: 't', HOME: '/home/me' });
  });

  it('[SECRET-2] passes on no exported shell function', () => {
    const env = resolveEnvironment({}, ['FUNC'], { ...host, TERM: '() { :; }; echo pwned', FUNC: '() { rm -rf /; }' });
    expect(env).not.toHaveProperty('TERM');
    expect(env).not.toHaveProperty('FUNC');
  });

  it('leaves the environment of the host as it was, and reads it anew each time', () => {
    const own = { ...host };
    const first = resolveEnvironment({}, [], own);
    first.PATH = 'changed';
    own.USER = 'you';
    expect(own.PATH).toBe(host.PATH);
    expect(resolveEnvironment({}, [], own)).toMatchObject({ USER: 'you', PATH: host.PATH });
  });
});
