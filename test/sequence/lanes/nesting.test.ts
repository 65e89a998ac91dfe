import { writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LaneFolder } from '../../../src/sequence/lanes/lane-folder.js';
import { newLane } from '../../helpers/lanes.js';
import { rejection } from '../../helpers/until.js';

const ID = 'a'.repeat(24);

describe('a lane within itself', () => {
  it('[LANE-8] is refused also without the environment, as a server of an agent has it', async () => {
    const lane = newLane();
    const [program, args] = lane.nested(lane.lane);
    const { stdout } = await lane.run('env', ['-i', program, ...args]);
    expect(stdout).toBe('LANE_NESTED');
    const [, another] = lane.nested('another');
    expect((await lane.run('env', ['-i', program, ...another])).stdout).toBe('0');
  });

  it('[LANE-8] is refused as long as the tree of a turn is not proven dead', async () => {
    const lane = newLane();
    const folder = new LaneFolder(lane.lane, lane.folder);
    folder.make();
    // Its ticket was removed by one that waited, and died.
    writeFileSync(folder.file(`${ID}.run`), '{}');
    process.env.MCP_SERVER_POOL_LANES = `${folder.name}.${ID}`;
    onTestFinished(() => void delete process.env.MCP_SERVER_POOL_LANES);
    expect(await rejection(lane.run('true'))).toMatchObject({ code: 'LANE_NESTED' });
  });
});
