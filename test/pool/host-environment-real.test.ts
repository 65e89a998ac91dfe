import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PoolError, ServerDefinition } from '../../src/index.js';
import { MCPServerPool } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { fixturePath } from '../helpers/fixture.js';
import { MARKER } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';
import { endGlobalPoolAfterEach, params, Watched } from '../helpers/stdio.js';
import { rejection } from '../helpers/until.js';

const COMMAND = 'mcp-pool-test-command';
const VARIABLE = 'MCP_POOL_TEST_TOKEN';

/** A folder with the command, which no PATH has yet. */
function folderOfCommand(): string {
  const folder = mkdtempSync(join(tmpdir(), 'host-environment-'));
  symlinkSync(process.execPath, join(folder, COMMAND));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const completePath = (folder: string) => vi.stubEnv('PATH', `${process.env.PATH}${delimiter}${folder}`);
const names = async (client: RawClient) => (await client.callTool('env')) as string[];

endGlobalPoolAfterEach();
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a host that changes its environment when the pool is there already', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[HOST-1] completes PATH, and sets a token: %s',
    async (sharing) => {
      const definition: ServerDefinition = {
        command: COMMAND,
        args: [fixturePath('echo.js')],
        inheritEnv: [MARKER, VARIABLE],
        sharing,
      };
      const pool = open({ echo: definition });
      expect(((await rejection(pool.getServer('echo'))) as PoolError).code).toBe('COMMAND_NOT_FOUND');
      completePath(folderOfCommand());
      const lease = await pool.getServer('echo');
      expect(await names(await RawClient.connect(lease.transport))).not.toContain(VARIABLE);
      vi.stubEnv(VARIABLE, 'token');
      lease.release();
      await pool.restart('echo');
      const next = await pool.getServer('echo');
      expect(await names(await RawClient.connect(next.transport))).toContain(VARIABLE);
    },
  );

  it('[HOST-1] also for the drop-in, on a global pool and a transport that were made before', async () => {
    MCPServerPool.global();
    const { transport } = new Watched({ ...params('echo'), command: COMMAND });
    completePath(folderOfCommand());
    expect(await (await RawClient.connect(transport)).callTool('echo', { text: 'a' })).toBe('a');
    await transport.close();
  });
});
