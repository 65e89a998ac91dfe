import { afterEach, describe, expect, it } from 'vitest';
import type { PoolOptions, ServerDefinition } from '../../src/config/options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { MCPServerPool, PoolError } from '../../src/index.js';
import { StdioClientTransport } from '../../src/stdio.js';
import { setUp } from '../helpers/fake-pool.js';

/** As another program would replace it. */
const variable = (name: string) => `\${${name}}`;

function problemsOf(definition: object): readonly string[] {
  try {
    resolvePoolOptions({ servers: { a: { command: 'server', ...definition } } } as PoolOptions);
    return [];
  } catch (error) {
    if (error instanceof PoolError) return error.data.problems ?? [];
    throw error;
  }
}

const refused = (path: string) => [
  expect.stringMatching(new RegExp(`^servers\\.a\\.${path} must not have a placeholder`)),
];

describe('a placeholder that nothing replaces is refused', () => {
  it.each([
    `Bearer ${variable('TOKEN')}`,
    `${variable('HOME')}/x`,
    `--root=${variable('HOME')}/x`,
    `https://${variable('env:HOST')}/mcp`,
    `x${variable('input:token')}`,
    `${variable('workspaceFolder')}/src`,
    `${variable('workspaceFolder:root')}/src`,
    `${variable('userHome')}/x`,
    `key=${variable('user_config.api_key')}`,
    `a ${variable('TOKEN:-none')} b`,
    variable('anything at all'),
    '$TOKEN',
    '$MY_TOKEN_2',
    '$env:TOKEN',
    '%APPDATA%',
  ])('[HINT-3] in env, args, command and cwd: %s', (value) => {
    expect(problemsOf({ env: { TOKEN: value } })).toEqual(refused('env\\.TOKEN'));
    expect(problemsOf({ args: ['-y', value, value] })).toEqual(refused('args\\[1\\]'));
    expect(problemsOf({ command: value })).toEqual(refused('command'));
    expect(problemsOf({ cwd: value })).toEqual(refused('cwd'));
    expect(problemsOf({ env: { A: value }, args: [value], cwd: value, placeholders: 'literal' })).toEqual([]);
  });

  it('[HINT-3] the error shows no value', () => {
    const problems = problemsOf({
      env: { TOKEN: `swordfish${variable('TOKEN')}` },
      args: [`swordfish${variable('X')}`],
    });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('swordfish');
  });

  it('[HINT-3] in what an interpreter gets before its code, or for a script', () => {
    const value = `--root=${variable('HOME')}`;
    expect(problemsOf({ command: 'bash', args: ['run.sh', value] })).toEqual(refused('args\\[1\\]'));
    expect(problemsOf({ command: 'node', args: ['-r', 'dotenv/config', 'x.js', value] })).toEqual(
      refused('args\\[3\\]'),
    );
    expect(problemsOf({ command: 'npx', args: ['-y', 'server', value] })).toEqual(refused('args\\[2\\]'));
    const docker = ['run', '-e', `TOKEN=${variable('TOKEN')}`, 'image', 'sh', '-c', `echo ${variable('TOKEN')}`];
    expect(problemsOf({ command: 'docker', args: docker })).toEqual(refused('args\\[2\\]'));
  });

  it.each<[command: string, ...args: string[]]>([
    ['npx', '-y', '@acme/mcp', '-c', 'x', '--token', variable('TOKEN')],
    ['npx', '--yes', '--package', '@acme/mcp', 'acme-mcp', '-c', variable('CONFIG')],
    ['npx', '-y', '@acme/ssh', variable('HOST')],
    ['npx', '-y', '--', 'server', '-c', variable('CONFIG')],
    ['npm', 'exec', '--', '@acme/jq', variable('FILE')],
    ['pnpm', 'dlx', '@acme/mcp', '-c', variable('CONFIG')],
    ['npm', 'run', 'server', '-c', variable('CONFIG')],
    ['node', 'server.js', '-p', variable('PORT')],
    ['node', '--import', 'tsx', 'server.ts', '-e', variable('ENV')],
    ['deno', 'run', '--allow-net', 'server.ts', '--eval', variable('ENV')],
    ['bun', 'server.ts', '-p', variable('PORT')],
    ['python', 's.py', '-e', variable('ENV')],
    ['python3', '-m', 'server', '-c', variable('CONFIG')],
    ['python', '-u', 's.py', '-c', variable('CONFIG')],
    ['perl', 's.pl', '-e', variable('ENV')],
    ['php', 's.php', '-r', variable('ROOT')],
    ['bash', '-l', 'run.sh', '-c', variable('CONFIG')],
    ['cmd', 'run.bat', '/c', variable('CONFIG')],
    ['pwsh', '-ExecutionPolicy', 'Bypass', '-File', 'run.ps1', '-c', variable('CONFIG')],
    ['server', 'ssh', variable('HOST')],
    ['server', '--shell', 'bash', '-c', variable('CONFIG')],
    ['env', 'A=1', 'node', 'server.js', '-p', variable('PORT')],
    ['docker', 'run', '--rm', 'ghcr.io/acme/ssh', variable('HOST')],
    ['docker', 'run', 'node', 'server.js', '-e', variable('ENV')],
  ])('[HINT-3] in what a script or a package gets: %s %j', (command, ...args) => {
    expect(problemsOf({ command, args })).toEqual(refused(`args\\[${args.length - 1}\\]`));
  });

  it('[HINT-3] in a variable that would be replaced by itself', () => {
    const env = { PATH: `/x:${variable('PATH')}` };
    expect(problemsOf({ env })).toEqual(refused('env\\.PATH'));
    expect(problemsOf({ env, inheritEnv: ['PATH'] })).toEqual(refused('env\\.PATH'));
  });
});

describe('no placeholder of a host', () => {
  it.each<Partial<ServerDefinition>>([
    { command: 'sh', args: ['-c', `echo ${variable('HOME')}`] },
    { command: '/bin/bash', args: ['-lc', variable('CMD'), '--', '$TOKEN'] },
    { command: 'env', args: ['A=1', 'zsh', '-ec', `exec ${variable('A')}`] },
    { command: 'timeout', args: ['9', 'dash', '-c', `cd ${variable('HOME')}`] },
    { command: 'C:\\Windows\\System32\\cmd.exe', args: ['/c', '%APPDATA%'] },
    { command: 'pwsh', args: ['-Command', `Write ${variable('env:X')}`] },
    { command: 'node', args: ['--import', 'tsx', '-e', `console.log(\`${variable('X')}\`)`] },
    { command: '/usr/bin/python3.12', args: ['-c', `print("${variable('X')}")`] },
    { command: 'perl', args: ['-ne', variable('X')] },
    { command: 'npx', args: ['-y', '-c', `server ${variable('HOME')}`] },
    { command: 'ssh', args: ['host', `server ${variable('HOME')}`] },
    { command: 'npx', args: ['-p', 'pkg', '-c', `server ${variable('HOME')}`] },
    { command: 'npx', args: ['--package=pkg', '--registry', 'https://x', '--call', variable('CMD')] },
    { command: 'npm', args: ['exec', '--package', 'x', '-c', variable('CMD')] },
    { command: 'npx', args: ['-y', 'tsx', '-e', `console.log(\`${variable('X')}\`)`] },
    { command: 'node', args: ['-r', 'dotenv/config', '--env-file', '.env', '-e', variable('CODE')] },
    { command: 'deno', args: ['eval', variable('CODE')] },
    { command: 'python', args: ['-X', 'utf8', '-W', 'ignore', '-uc', variable('CODE')] },
    { command: 'bash', args: ['-o', 'pipefail', '-c', variable('CODE')] },
    { command: 'bash', args: ['-euo', 'pipefail', '-c', variable('CODE')] },
    { command: 'cmd', args: ['/d', '/s', '/c', '%APPDATA%'] },
    { command: 'powershell', args: ['-NoProfile', '-ExecutionPolicy', 'Bypass', '-Command', variable('CODE')] },
    { command: 'su', args: ['-', 'user', '-c', variable('CODE')] },
    { command: 'nix-shell', args: ['-p', 'a', 'b', '--run', variable('CODE')] },
    { command: 'osascript', args: ['-l', 'JavaScript', '-e', variable('CODE')] },
    { command: 'sudo', args: ['-E', '/bin/sh', '-c', variable('CODE')] },
    { command: 'sudo', args: ['docker', 'exec', '-i', 'x', 'venv/bin/python', '-c', variable('CODE')] },
    { command: 'busybox', args: ['sh', '-c', variable('CODE')] },
    { command: 'uv', args: ['run', 'python', '-c', variable('CODE')] },
    { command: 'docker', args: ['run', 'node', 'sh', '-c', variable('CODE')] },
    { command: 'docker', args: ['run', '--entrypoint', 'sh', 'image', '-c', variable('CODE')] },
    { command: 'docker', args: ['run', '--entrypoint=/bin/sh', '--rm', 'image', '-c', variable('CODE')] },
    { command: 'docker', args: ['run', 'image', 'sh', '-c', `echo ${variable('TOKEN')}`] },
    { args: ['$1', '^\\$[A-Z]+$', '$', '$$', 'a$b', 'US$', '$schema', '100%', '%20%41', `${variable('#x')}y`] },
    { args: [`x${variable('level')} ${variable('message')}`, '{{x}}', '$(date)', '#{x}', 'cost: $TOKENS'] },
    { env: { A: 'pa$$word', B: `[${variable('level')}] ${variable('ctx.id')}`, C: '$a', D: '$9', E: 'x$TOKEN' } },
  ])('[HINT-3] is passed: %j', (definition) => {
    expect(problemsOf(definition)).toEqual([]);
  });

  it('[HINT-3] a part that names a variable which the definition gives the server: mcp-remote replaces it', () => {
    const args = ['mcp-remote', 'https://x', '--header', `Authorization:${variable('AUTH')}`];
    expect(problemsOf({ command: 'npx', args, env: { AUTH: 'Bearer x' } })).toEqual([]);
    expect(problemsOf({ command: 'npx', args, inheritEnv: ['AUTH'] })).toEqual([]);
    expect(problemsOf({ env: { HOST: 'x', URL: `http://${variable('HOST')}/` } })).toEqual([]);
    // The server would not see it.
    expect(problemsOf({ command: 'npx', args })).toEqual(refused('args\\[3\\]'));
  });
});

describe('every call that takes a definition', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[HINT-3] refuses it, and changes nothing: %s',
    async (sharing) => {
      const { launcher, pool } = setUp({ servers: { a: { command: 'fake', sharing } } });
      const lease = await pool.getServer('a');
      const wrong = { command: 'fake', sharing, args: [`--root=${variable('HOME')}`] };
      const expected = expect.objectContaining({ code: 'INVALID_OPTIONS' });
      expect(() => pool.addServer('b', wrong)).toThrowError(expected);
      expect(() => pool.setServer('b', wrong)).toThrowError(expected);
      expect(() => pool.setServer('a', wrong)).toThrowError(expected);
      await expect(pool.updateServer('a', wrong)).rejects.toEqual(expected);
      expect(pool.getDefinition('a')).toEqual({ command: 'fake', sharing });
      expect(Object.keys(pool.status().servers)).toEqual(['a']);
      expect(launcher.living.map(({ pid }) => pid)).toEqual([lease.pid]);
      pool.setServer('a', { ...wrong, placeholders: 'literal' });
      lease.release();
      await pool.getServer('a');
      expect(launcher.last.definition.args).toEqual(wrong.args);
    },
  );
});

describe('the drop-in', () => {
  afterEach(async () => void (await MCPServerPool.global().shutdown()));

  it('[HINT-3] passes everything, as the SDK does', async () => {
    const values = [`Bearer ${variable('TOKEN')}`, '$TOKEN', '%APPDATA%', variable('x')];
    const script =
      'process.stdout.write(JSON.stringify({jsonrpc:"2.0",method:"x",params:{a:process.argv.slice(2),t:process.env.T}})+"\\n");process.stdin.resume()';
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: ['-e', script, '--', 'x', ...values],
      env: { T: `Bearer ${variable('TOKEN')}` },
    });
    const message = new Promise<object>((resolve) => {
      transport.onmessage = resolve;
    });
    await transport.start();
    expect(await message).toMatchObject({ params: { a: values, t: values[0] } });
    await transport.close();
    const nowhere = new StdioClientTransport({ command: 'server', args: values, cwd: variable('HOME') });
    await expect(nowhere.start()).rejects.toMatchObject({ code: 'CWD_NOT_FOUND' });
  });
});
