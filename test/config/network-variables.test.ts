import { describe, expect, it } from 'vitest';
import { networkVariablesKept } from '../../src/config/network-variables.js';

const PROXY = 'HTTPS_PROXY';
const CERTIFICATES = 'NODE_EXTRA_CA_CERTS';

describe('networkVariablesKept', () => {
  it.each([
    ['none that the host has not', {}, {}, []],
    ['none that is empty', { [PROXY]: '' }, {}, []],
    ['a proxy and certificates', { [PROXY]: 'p', [CERTIFICATES]: 'c', HOME: '/' }, {}, [PROXY, CERTIFICATES]],
    ['a spelling in lower case', { https_proxy: 'p' }, {}, ['https_proxy']],
    ['one of two spellings', { https_proxy: 'p', [PROXY]: 'p' }, {}, [PROXY]],
    ['none that the server has', { [PROXY]: 'p' }, { [PROXY]: 'q' }, []],
    ['none that it has in another spelling', { [PROXY]: 'p' }, { https_proxy: 'q' }, []],
  ])('[START-5] names %s', (_what, host, given, expected) => {
    expect(networkVariablesKept(given, host)).toEqual(expected);
  });
});
