import { expect, it, vi } from 'vitest';
import type * as Refusals from '../../examples/express-gateway/refusal.js';
import type { PoolErrorCode, PoolError as PoolErrorType } from '../../src/index.js';
import { exampleModule, exampleProgram } from '../helpers/example.js';
import { startProgram } from '../helpers/host.js';

const program = () => exampleProgram('express-gateway/index.js');

/** What a client gets for an error: status, headers and body. */
function answered(make: (PoolError: typeof PoolErrorType) => unknown) {
  const example = program();
  const { PoolError } = exampleModule<{ PoolError: typeof PoolErrorType }>(example, 'mcp-server-pool');
  const { answerError } = exampleModule<typeof Refusals>(example, './refusal.js');
  const got = { status: 0, headers: {} as Record<string, string>, body: {} as { error: { message: string } } };
  const response = {
    set: (name: string, value: string) => Object.assign(got.headers, { [name]: value }),
    status(status: number) {
      got.status = status;
      return this;
    },
    json: (body: typeof got.body) => Object.assign(got, { body }),
  };
  answerError(make(PoolError), { body: { id: 7 } }, response, () => {});
  return got;
}

it.each([
  ['ACQUIRE_TIMEOUT', 503],
  ['QUEUE_FULL', 503],
  ['OVERLOADED', 503],
  ['BREAKER_OPEN', 503],
  ['POOL_CLOSED', 503],
  ['START_TIMEOUT', 502],
  ['SPAWN_FAILED', 502],
  ['UNKNOWN_SERVER', 502],
] satisfies [PoolErrorCode, number][])(
  '[GATEWAY-10] %s of the pool is %i, without what only operators may know',
  (code, status) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { headers, body, ...got } = answered((PoolError) => new PoolError(code, 'the server at /srv/secret-path'));
    expect(got.status).toBe(status);
    expect(headers).toEqual(status === 503 ? { 'Retry-After': '5' } : {});
    expect(body).toMatchObject({ jsonrpc: '2.0', id: 7, error: { code: -32_000, data: { code } } });
    expect(JSON.stringify(body)).not.toContain('secret-path');
    expect(log.mock.calls.flat().join()).toContain('secret-path');
    log.mockRestore();
  },
);

it('[GATEWAY-10] what the pool answers for a lost request is without its words; what a server answers stays as it is', () => {
  const { forUsers } = exampleModule<typeof Refusals>(program(), './refusal.js');
  const told = { reason: 'SERVER_EXITED', retryable: false, mayHaveRun: true, exitCode: 1, signal: null };
  const data = { ...told, stderrTail: 'at /srv/secret-path' };
  const lost = { jsonrpc: '2.0', id: 1, error: { code: -32_000, message: 'on stderr: /srv/secret-path', data } };
  expect(forUsers(lost)).toEqual({
    ...lost,
    error: { code: -32_000, message: 'the request was lost: SERVER_EXITED', data: told },
  });
  for (const own of [
    { ...lost, error: { code: 1, message: 'mine', data: { reason: 'mine' } } },
    { id: 1, result: {} },
  ])
    expect(forUsers(own)).toBe(own);
});

it('[GATEWAY-10] an error of the gateway itself is 500, and says nothing of it', () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  const { status, body } = answered(() => new TypeError('undefined is not a secret'));
  log.mockRestore();
  expect({ status, error: body.error }).toEqual({ status: 500, error: { code: -32_603, message: 'internal error' } });
});

it.each(['--port', '--idle-timeout'])(
  '[GATEWAY-10] %s without a number is refused with what it takes',
  async (option) => {
    const { result } = startProgram(process.execPath, [program(), option, 'abc']);
    const { code, stderr } = await result;
    expect({ code, stderr }).toEqual({ code: 2, stderr: `${option} takes a number, 0 or more, not 'abc'\n` });
  },
);
