import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { withEnvironment } from '../../src/config/environment.js';
import { Noise } from '../../src/protocol/channels/noise.js';
import { exitError } from '../../src/server/exit-error.js';
import { Secrets } from '../../src/server/secrets.js';
import { stderrReason } from '../../src/server/stderr-reason.js';
import { define } from '../helpers/definition.js';

const folder = mkdtempSync(join(tmpdir(), 'stderr-reason-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a program writes to stderr. */
function stderrOf(command: string, ...args: string[]): string {
  return spawnSync(command, args, { cwd: folder, encoding: 'utf8', timeout: 60_000 }).stderr;
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return name;
}

const isMissing = (command: string) => spawnSync(command, ['--version']).error !== undefined;
const lineOf = (stderr: string) => stderrReason(stderr)?.line;

describe('the line of stderr that says why, of a program that is run here', () => {
  it.each([
    [
      'an uncaught error',
      `throw Object.assign(new Error('no database', { cause: new Error('inner') }), { code: 'X' })`,
      'Error: no database',
    ],
    [
      'an error of several',
      `Promise.reject(new AggregateError([new Error('a'), new Error('b')], 'all failed'))`,
      'AggregateError: all failed',
    ],
    [
      'an error that it wrote itself',
      `console.error('Fatal error running server:', new TypeError('bad config')); process.exit(1)`,
      'Fatal error running server: TypeError: bad config',
    ],
    ['a text that is thrown', `throw 'no token'`, 'no token'],
    ['a syntax error', 'foo bar', "SyntaxError: Unexpected identifier 'bar'"],
    ['a missing module', `require('no-such-module')`, "Error: Cannot find module 'no-such-module'"],
    ['a hint on its usage', `console.error('Usage: server <folder>'); process.exit(1)`, 'Usage: server <folder>'],
    ['an error in colours', `console.error('\\x1b[31mError: red\\x1b[39m\\x1b[0m'); process.exit(1)`, 'Error: red'],
    [
      'a warning after it',
      `console.error('TOKEN is not set'); process.emitWarning('old'); process.exitCode = 1`,
      'TOKEN is not set',
    ],
  ])('[EXIT-2] Node: %s', (_what, script, expected) => {
    expect(lineOf(stderrOf(process.execPath, file('script.cjs', script)))).toBe(expected);
  });

  it('[EXIT-2] Node: a missing package, a wrong option, no memory', () => {
    const missing = stderrOf(process.execPath, file('script.mjs', `import 'no-such-package'`));
    expect(lineOf(missing)).toMatch(/^Error \[ERR_MODULE_NOT_FOUND\]: Cannot find package 'no-such-package'/);
    expect(lineOf(stderrOf(process.execPath, '--no-such-option'))).toMatch(/bad option: --no-such-option$/);
    const greedy = `const all = []; for (;;) all.push(new Array(1e6).fill(1));`;
    const outOfMemory = stderrOf(process.execPath, '--max-old-space-size=20', '-e', greedy);
    expect(lineOf(outOfMemory)).toMatch(/^FATAL ERROR: .*heap out of memory$/);
  });

  it('[EXIT-2] npm: no package.json; a script that fails, with the words of the program', () => {
    expect(lineOf(stderrOf('npm', 'run', 'start'))).toMatch(
      /^npm error enoent Could not read package\.json: Error: ENOENT/,
    );
    const scripts = { bad: 'node bad.cjs', missing: 'no-such-program' };
    file('bad.cjs', `throw new Error('no database')`);
    file('package.json', JSON.stringify({ name: 'x', version: '1.0.0', scripts }));
    expect(lineOf(stderrOf('npm', 'run', 'bad'))).toBe('Error: no database');
    expect(lineOf(stderrOf('npm', 'run', 'missing'))).toMatch(/no-such-program: .*not found$/);
    expect(lineOf(stderrOf('npm', 'run', 'other'))).toMatch(/^npm error Missing script: "other"$/);
    rmSync(join(folder, 'package.json'));
  });

  it.each([
    ['a shell', 'sh', ['-c', 'echo boom >&2; exit 3'], /^boom$/],
    ['a shell without the program', 'sh', ['-c', 'no-such-program'], /no-such-program: not found$/],
    ['bash', 'bash', ['-c', 'cd /no-such-folder && ls'], /cd: \/no-such-folder: No such file or directory$/],
  ])('[EXIT-2] %s', (_what, command, args, expected) => {
    expect(lineOf(stderrOf(command, ...args))).toMatch(expected);
  });

  it.skipIf(isMissing('python3')).each([
    ['a traceback', 'def f():\n  raise ValueError("no database")\nf()', 'ValueError: no database'],
    [
      'a second one, of several lines',
      'try:\n  {}["x"]\nexcept KeyError as e:\n  raise RuntimeError("first\\nsecond") from e',
      'RuntimeError: first',
    ],
    ['a missing module', 'import no_such_module', "ModuleNotFoundError: No module named 'no_such_module'"],
    ['a syntax error', 'foo bar', 'SyntaxError: invalid syntax'],
    ['its own words', 'import sys\nsys.exit("TOKEN is not set")', 'TOKEN is not set'],
    ['an interrupt', 'raise KeyboardInterrupt', 'KeyboardInterrupt'],
    [
      'a missing argument',
      'import argparse\np = argparse.ArgumentParser()\np.add_argument("--token", required=True)\np.parse_args()',
      'script.py: error: the following arguments are required: --token',
    ],
    [
      'a warning at exit',
      'import warnings, atexit\natexit.register(lambda: warnings.warn("old"))\nraise ValueError("no database")',
      'ValueError: no database',
    ],
  ])('[EXIT-2] Python: %s', (_what, script, expected) => {
    expect(lineOf(stderrOf('python3', file('script.py', script)))).toBe(expected);
  });
});

/** Of programs that need not be installed here. */
const TEXTS: [string, string, string][] = [
  [
    'npx without such a package',
    'npm error code E404\nnpm error 404 Not Found - GET https://registry.npmjs.org/foo - Not found\nnpm error 404\nnpm error 404  The requested resource could not be found\nnpm error A complete log of this run can be found in: /root/.npm/_logs/x.log\n',
    'npm error 404 Not Found - GET https://registry.npmjs.org/foo - Not found',
  ],
  [
    'npx without a program',
    'npm warn exec The following package was not found and will be installed: foo@1.0.0\nnpm error could not determine executable to run\nnpm error A complete log of this run can be found in: /x.log\n',
    'npm error could not determine executable to run',
  ],
  [
    'an old npm',
    'npm ERR! code ENOENT\nnpm ERR! syscall open\nnpm ERR! path /x/package.json\nnpm ERR! enoent no such file\nnpm ERR! \nnpm ERR! A complete log of this run can be found in:\nnpm ERR!     /x.log\n',
    'npm ERR! enoent no such file',
  ],
  ['npm with nothing but a code', 'npm error code EPERM\nnpm error errno -1\n', 'npm error code EPERM'],
  [
    'docker without a daemon',
    "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n\nRun 'docker run --help' for more information\n",
    'docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?',
  ],
  [
    'docker without the image',
    "Unable to find image 'foo:latest' locally\ndocker: Error response from daemon: pull access denied for foo.\nSee 'docker run --help'.\n",
    'docker: Error response from daemon: pull access denied for foo.',
  ],
  [
    'docker with a wrong flag',
    "unknown flag: --foo\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information\n",
    'unknown flag: --foo',
  ],
  [
    'a group of exceptions of Python',
    '  + Exception Group Traceback (most recent call last):\n  |   File "x.py", line 6, in <module>\n  |     asyncio.run(main())\n  |            ^^^^^^^^\n  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File "x.py", line 2, in a\n    |     async def a(): raise ValueError("inner")\n    | ValueError: inner\n    +------------------------------------\n',
    'ValueError: inner',
  ],
  [
    'Rust',
    "\nthread 'main' (42) panicked at src/main.rs:2:5:\nno database\nstack backtrace:\n   0: std::panicking::begin_panic\n             at /rustc/1/library/std/src/panicking.rs:689:5\n   1: main\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n",
    "thread 'main' (42) panicked at src/main.rs:2:5: no database",
  ],
  [
    'an old Rust',
    "thread 'main' panicked at 'no database', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
    "thread 'main' panicked at 'no database', src/main.rs:2:5",
  ],
  [
    'Rust with anyhow',
    'Error: cannot start\n\nCaused by:\n    0: no database\n    1: Connection refused (os error 111)\n',
    'Error: cannot start',
  ],
  [
    'Deno',
    'error: Uncaught (in promise) Error: no database\n  throw new Error("no database");\n        ^\n    at main (file:///x.ts:1:7)\n    at file:///x.ts:3:1\n',
    'error: Uncaught (in promise) Error: no database',
  ],
  [
    'Bun',
    '1 | throw new Error("no database")\n          ^\nerror: no database\n      at /x.ts:1:7\n\nBun v1.2.3 (Linux x64)\n',
    'error: no database',
  ],
  [
    'a script of Bun',
    'error: Cannot find module "x" from "/y.ts"\n\nBun v1.2.3 (Linux x64)\nerror: script "start" exited with code 1\n',
    'error: Cannot find module "x" from "/y.ts"',
  ],
  [
    'Java',
    'Exception in thread "main" java.lang.RuntimeException: no database\n\tat J.main(J.java:1)\n\tat java.base/java.lang.reflect.Method.invoke(Method.java:569)\n',
    'Exception in thread "main" java.lang.RuntimeException: no database',
  ],
  [
    'Java with a cause',
    'Exception in thread "main" java.lang.RuntimeException: start failed\n\tat J.main(J.java:1)\nCaused by: java.lang.IllegalStateException: port in use\n\tat J.f(J.java:1)\n\t... 1 more\n',
    'Caused by: java.lang.IllegalStateException: port in use',
  ],
  [
    'Go',
    'panic: no database\n\ngoroutine 1 [running]:\nmain.f(0x1, {0xc0000, 0x2})\n\t/x/main.go:4 +0x39\nmain.main()\n\t/x/main.go:8 +0x1d\nexit status 2\n',
    'panic: no database',
  ],
  ['Go that writes a log', '2026/11/30 04:00:00 no database\nexit status 1\n', '2026/11/30 04:00:00 no database'],
  [
    '.NET',
    'Unhandled exception. System.InvalidOperationException: no database\n   at Program.Main(String[] args) in /x.cs:line 3\n',
    'Unhandled exception. System.InvalidOperationException: no database',
  ],
  [
    'Ruby',
    "x.rb:1:in 'f': no database (RuntimeError)\n\tfrom x.rb:3:in '<main>'\n",
    "x.rb:1:in 'f': no database (RuntimeError)",
  ],
  [
    'uv',
    '  × No solution found when resolving tool dependencies:\n  ╰─▶ Because foo was not found in the package registry\n      and you require foo, we can conclude that your requirements are unsatisfiable.\n',
    '× No solution found when resolving tool dependencies: ╰─▶ Because foo was not found in the package registry',
  ],
  [
    'a log that goes on after the error',
    'server started\nError: no database\n    at f (x.js:1:1)\nshutting down\n',
    'Error: no database',
  ],
  [
    'an error of long ago',
    `Error: cache is cold\n${'request served\n'.repeat(60)}TOKEN has expired\n`,
    'TOKEN has expired',
  ],
  ['lines that end as on Windows', 'Error: no database\r\n    at f\r\n\r\nNode.js v22.0.0\r\n', 'Error: no database'],
];

describe('the line of stderr that says why, of a text', () => {
  it.each(TEXTS)('[EXIT-2] %s', (_what, stderr, expected) => {
    expect(lineOf(stderr)).toBe(expected);
  });

  it('[EXIT-2] is bounded, with control characters as codes; none in an empty text', () => {
    expect(lineOf(`Error: a\0b\u2028c${'x'.repeat(1_000)}`)).toMatch(/^Error: a\\u0000b\\u2028cx{288}…$/);
    expect([stderrReason(''), stderrReason('\n \r\n')]).toEqual([undefined, undefined]);
    expect(lineOf('    at f (x.js:1:1)\n')).toBe('at f (x.js:1:1)');
  });

  it('[EXIT-2] takes little time for a text that no program would write', () => {
    for (const part of ['a.', 'Error', '|', '+-', '\x1b[', ': ', 'npm error ']) {
      expect(lineOf(part.repeat(65_536 / part.length))).toBeDefined();
      expect(lineOf(`${part.repeat(1_000)}\n`.repeat(64))).toBeDefined();
    }
  });
});

describe('an error', () => {
  const error = (stderrTail: string, exit: { exitCode: number | null; signal: string | null }, more: object = {}) => {
    const definition = define({ command: 'x', ...more });
    const spec = withEnvironment(definition);
    const secrets = new Secrets(spec, spec.resolvedEnv);
    const instance = {
      definition,
      stderrTail: secrets.hideIn(stderrTail),
      secrets,
      noise: new Noise(),
      error: (_code: string, what: string) => new Error(what) as never,
    };
    return (wasStarting: boolean) => (exitError(instance, exit, wasStarting, undefined) as Error).message;
  };

  it('[EXIT-2] quotes the reason, of a start and later', () => {
    const node = error('Error: boom\n    at f\n\nNode.js v20\n', { exitCode: 1, signal: null });
    expect(node(true)).toBe('exited with code 1 before it was ready; on stderr: Error: boom');
    expect(node(false)).toBe('exited with code 1, which the pool did not ask for; on stderr: Error: boom');
    const silent = error('', { exitCode: 1, signal: null });
    expect(silent(true)).toBe('exited with code 1 before it was ready; it wrote nothing to stderr');
  });

  it('[EXIT-2] of a signal quotes no line that is about something else', () => {
    const killed = error('Server running on stdio\n', { exitCode: null, signal: 'SIGKILL' });
    expect(killed(false)).toBe('was ended by SIGKILL, which the pool did not ask for');
    const aborted = error('FATAL ERROR: heap out of memory\n', { exitCode: null, signal: 'SIGABRT' });
    expect(aborted(false)).toMatch(/; on stderr: FATAL ERROR: heap out of memory$/);
  });

  it('[EXIT-2] [SECRET-1] quotes no secret of the definition', () => {
    const args = ['--api-key', 'abcdefg', '--token=hijklmn', 'postgres://user:opqrstu@host/db', '--port', '8080'];
    const env = { TOKEN: 'vwxyz-1', DEBUG: '1' };
    const stderr = 'Error: abcdefg hijklmn opqrstu vwxyz-1 at port 8080 of postgres://host, 1\n';
    expect(error(stderr, { exitCode: 1, signal: null }, { args, env })(true)).toMatch(
      /: Error: (\[hidden\] ){4}at port 8080 of postgres:\/\/host, 1$/,
    );
  });

  it.each([
    [['--header', 'Authorization: Bearer SECRET1'], 'got Authorization: [hidden], [hidden]'],
    [['--header=X-Api-Key: SECRET1'], 'got X-Api-Key: [hidden], [hidden]'],
    [['-H', 'Cookie: session=SECRET1; theme=dark'], 'got Cookie: [hidden], [hidden]'],
    [
      ['https://host/mcp?theme=dark&api_key=SECRET1#top'],
      'got https://host/mcp?theme=dark&api_key=[hidden]#top, [hidden]',
    ],
    [['--url=https://host/?token=SECRET1'], 'got --url=https://host/?token=[hidden], [hidden]'],
    [['https://user:SECRET1@host/'], 'got https://user:[hidden]@host/, [hidden]'],
    [['--password=ab,SECRET1'], 'got --password=[hidden], SECRET1'],
    [['API_KEY=x1&SECRET1'], 'got API_KEY=[hidden], SECRET1'],
    [['{"password": "correct SECRET1"}'], 'got {"password": "[hidden]"}, SECRET1'],
    [['--config', '{"theme":"dark","apiKey":"SECRET1"}'], 'got {"theme":"dark","apiKey":"[hidden]"}, [hidden]'],
    [
      ['--config', '{"theme": "dark", "password": "SECRET1"}'],
      'got {"theme": "dark", "password": "[hidden]"}, [hidden]',
    ],
    [['-e', 'GITHUB_TOKEN=SECRET1'], 'got GITHUB_TOKEN=[hidden], [hidden]'],
    [['--theme', 'dark', '--title=A: SECRET1'], 'got --title=A: SECRET1, SECRET1'],
    [['postgres://postgres@host'], 'got postgres://postgres@host, SECRET1'],
    [['https://ghp_0123456789abcdef@host'], 'got https://[hidden]@host, SECRET1'],
  ])('[EXIT-2] [SECRET-1] quotes no secret of %j', (args, said) => {
    const stderr = `Error: got ${args.at(-1)?.replace('--header=', '')}, SECRET1\n`;
    const quoted = error(stderr, { exitCode: 1, signal: null }, { args, env: {} })(true);
    expect(quoted.replace('[hidden]; theme=dark', '[hidden]')).toContain(`Error: ${said}`);
  });

  it('[SECRET-1] the search for secrets takes a time that grows with the argument only', () => {
    for (const part of ['a', 'key=', 'key: "', '://x', 'key\t', "'"]) {
      const arg = part.repeat(200_000);
      // Quadratic, this would take minutes.
      expect(error('Error: no\n', { exitCode: 1, signal: null }, { args: [arg], env: {} })(true)).toContain(
        'Error: no',
      );
    }
  });
});
