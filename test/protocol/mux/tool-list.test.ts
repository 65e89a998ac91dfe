import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../../src/protocol/json-rpc.js';
import { fetchTools, ToolList } from '../../../src/protocol/mux/tool-list.js';

const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: 'object' }, ...more });
const page = (tools: unknown, nextCursor?: string): Answer => ({
  result: { tools, ...(nextCursor !== undefined && { nextCursor }) },
});

function whole(...tools: object[]): ToolList {
  const list = new ToolList();
  list.page(undefined, page(tools));
  return list;
}

/** A server with these pages, and how often it was asked. */
function server(
  pages: readonly object[][],
  answerOf: (index: number, answer: Answer) => Answer | undefined = (_, a) => a,
) {
  const asked: unknown[] = [];
  let done: ToolList | undefined;
  fetchTools(
    (method, params, onAnswer) => {
      asked.push([method, params]);
      const { cursor } = params as { cursor?: string };
      const index = Number(cursor ?? 0);
      const next = index + 1 < pages.length ? String(index + 1) : undefined;
      onAnswer(answerOf(index, page(pages[index], next)));
    },
    (tools) => {
      expect(done).toBeUndefined();
      done = tools;
    },
  );
  return { asked, done };
}

describe('ToolList', () => {
  it('[FAIL-2] is whole when all of its pages were seen, in their order', () => {
    const list = new ToolList();
    expect(list.isWhole).toBe(false);
    list.page('b', page([tool('y')]));
    expect(list.isWhole).toBe(false);
    list.page(undefined, page([tool('x')], 'b'));
    expect(list.cursor).toBe('b');
    list.page('other', page([tool('z')]));
    expect(list.isWhole).toBe(false);
    list.page('b', page([tool('y')]));
    expect(list.isWhole).toBe(true);
    expect(list.changesTo(whole(tool('y'), tool('x')))).toBeUndefined();
    // From the beginning again.
    list.page(undefined, page([tool('n')], 'c'));
    expect(list.isWhole).toBe(false);
  });

  it('[FAIL-2] learns nothing from an error, or from what is no list, and nothing stays when it is forgotten', () => {
    const list = whole(tool('x', { annotations: { readOnlyHint: true } }));
    list.page(undefined, { error: { code: 1, message: 'no' } });
    list.page(undefined, page('none'));
    list.page(undefined, { result: null });
    expect(list.isWhole).toBe(true);
    expect(list.isRepeatable('x')).toBe(true);
    list.forget();
    expect([list.isWhole, list.cursor, list.isRepeatable('x')]).toEqual([false, undefined, false]);
  });

  it('[FAIL-1] takes a tool for repeatable that the server calls read-only or idempotent, on any page', () => {
    const list = new ToolList();
    const hints = { reads: { readOnlyHint: true }, puts: { idempotentHint: true }, no: { readOnlyHint: false } };
    const tools = Object.entries(hints).map(([name, annotations]) => tool(name, { annotations }));
    list.page(undefined, page([...tools, tool('text', { annotations: { readOnlyHint: 'true' } }), null, 'x'], 'b'));
    list.page('b', page([tool('plain'), tool('last', { annotations: { readOnlyHint: true } })]));
    const names = ['reads', 'puts', 'no', 'text', 'plain', 'last', 'unknown', undefined];
    expect(names.filter((name) => list.isRepeatable(name))).toEqual(['reads', 'puts', 'last']);
  });

  it('[FAIL-2] says which tools are lost, added and changed', () => {
    const before = whole(tool('same'), tool('lost'), tool('changed', { description: 'a' }));
    const after = whole(tool('added'), tool('changed', { description: 'b' }), tool('same'));
    expect(before.changesTo(after)).toEqual({ lost: ['lost'], added: ['added'], changed: ['changed'] });
    expect(after.changesTo(before)).toEqual({ lost: ['added'], added: ['lost'], changed: ['changed'] });
    expect(before.changesTo(before)).toBeUndefined();
    expect(new ToolList().changesTo(new ToolList())).toBeUndefined();
  });

  it('[FAIL-2] compares by content, whatever the pages and the order', () => {
    const tools = fc.uniqueArray(
      fc.record({ name: fc.constantFrom(...'abcdef'), description: fc.constantFrom('1', '2') }),
      {
        selector: ({ name }) => name,
      },
    );
    fc.assert(
      fc.property(tools, tools, fc.nat({ max: 5 }), (before, after, cut) => {
        const paged = new ToolList();
        paged.page(undefined, page(after.slice(0, cut), 'rest'));
        paged.page('rest', page(after.slice(cut).reverse()));
        const changes = whole(...before).changesTo(paged);
        const has = (list: typeof before, name: string) => list.find((one) => one.name === name);
        const kept = before.filter(({ name }) => has(after, name));
        expect({ lost: [], added: [], changed: [], ...changes }).toEqual({
          lost: before.filter(({ name }) => !has(after, name)).map(({ name }) => name),
          added: expect.toSatisfy(
            (names: string[]) =>
              names.sort().join() ===
              after
                .filter(({ name }) => !has(before, name))
                .map(({ name }) => name)
                .sort()
                .join(),
          ),
          changed: kept
            .filter(({ name, description }) => has(after, name)?.description !== description)
            .map(({ name }) => name),
        });
      }),
    );
  });
});

describe('fetchTools', () => {
  it('[FAIL-2] asks for one page after the other', () => {
    const { asked, done } = server([[tool('x')], [tool('y')], []]);
    expect(asked).toEqual([
      ['tools/list', {}],
      ['tools/list', { cursor: '1' }],
      ['tools/list', { cursor: '2' }],
    ]);
    expect(done?.isWhole).toBe(true);
    expect(done?.changesTo(whole(tool('x'), tool('y')))).toBeUndefined();
  });

  it('[FAIL-2] takes a server that refuses for one without tools, and hears nothing of one that is lost', () => {
    const refused = server([[tool('x')]], () => ({ error: { code: -32_601, message: 'no' } }));
    expect(refused.asked).toHaveLength(1);
    expect(whole(tool('x')).changesTo(refused.done as ToolList)).toEqual({ lost: ['x'], added: [], changed: [] });
    const lost = server([[tool('x')], [tool('y')]], (index, answer) => (index === 0 ? answer : undefined));
    expect([lost.asked.length, lost.done]).toEqual([2, undefined]);
  });

  it('[FAIL-2] does not ask for ever', () => {
    const endless = server(Array.from({ length: 1_000 }, (_, index) => [tool(`t${index}`)]));
    expect(endless.asked).toHaveLength(100);
    expect(endless.done).toBeUndefined();
  });

  it('[FAIL-2] [FAULT-3] keeps no list that does not end', () => {
    const list = new ToolList();
    list.page(undefined, page([tool('t', { annotations: { readOnlyHint: true } })], 'again'));
    expect(list.isRepeatable('t')).toBe(true);
    for (let pages = 0; pages < 100; pages++) list.page('again', page([tool('u')], 'again'));
    expect(list.isWhole).toBe(false);
    expect(list.cursor).toBeUndefined();
    expect(list.isRepeatable('t')).toBe(false);
  });

  it('[FAIL-2] asks once for a page that the server refuses', () => {
    const no: Answer = { error: { code: -32_603, message: 'no' } };
    const { asked } = server([[tool('x')], [tool('y')]], (index, answer) => (index === 0 ? answer : no));
    expect(asked).toHaveLength(2);
  });
});
