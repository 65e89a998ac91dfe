// A host for each way in which TypeScript finds the types of a package. Each imports every entry point, and compiles only if
// none of them is missing or `any`.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** As `apps/backend/tsconfig.json` of MetaMCP has it, with the SDK that MetaMCP has. */
const METAMCP = {
  ...{ target: 'ES2022', module: 'ESNext', lib: ['ES2022'], esModuleInterop: true, moduleResolution: 'Node' },
  ...{ allowSyntheticDefaultImports: true, experimentalDecorators: true, emitDecoratorMetadata: true },
  ...{ allowImportingTsExtensions: true, baseUrl: '.' },
  paths: { '@modelcontextprotocol/sdk/*': ['../node_modules/mcp-sdk-1.16/dist/esm/*'] },
};

const BARE = { target: 'ES2022', lib: ['ES2023', 'ESNext.Disposable'], esModuleInterop: true };

/**
 * `json`: what follows an import of JSON, by default an attribute. `metamcp`: whether the adapter of the example is compiled,
 * too. `require`: whether the host is CommonJS that requires the package.
 */
const RESOLVERS = {
  'node10, as MetaMCP': { options: METAMCP, metamcp: true },
  'node10, CommonJS': { options: { ...BARE, module: 'CommonJS', moduleResolution: 'node10' }, json: '' },
  node16: { options: { ...BARE, module: 'node16' }, json: '' },
  nodenext: { options: { ...BARE, module: 'nodenext' } },
  bundler: { options: { ...BARE, module: 'preserve', moduleResolution: 'bundler' } },
  'nodenext, import = require()': { options: { ...BARE, module: 'nodenext' }, require: true },
};

/**
 * Writes the hosts into folders of `host`.
 * @param {string} host the folder with the installed package
 * @param {readonly { specifier: string }[]} subpaths
 * @returns {{ name: string, project: string }[]} the projects to compile
 */
export function writeResolvers(host, subpaths) {
  return Object.entries(RESOLVERS).map(([name, resolver], index) => {
    const project = join(host, `resolver-${index}`);
    mkdirSync(project);
    const file = resolver.require ? 'host.cts' : 'host.ts';
    writeFileSync(join(project, file), sourceOf(resolver, subpaths));
    if (resolver.metamcp)
      cpSync(join(host, 'node_modules/mcp-server-pool/examples/metamcp'), join(project, 'metamcp'), {
        recursive: true,
      });
    const checked = resolver.metamcp ? { allowJs: true, checkJs: true } : {};
    const common = { strict: true, noEmit: true, resolveJsonModule: true, skipLibCheck: true, types: ['node'] };
    const files = [file, ...(resolver.metamcp ? ['metamcp/mcp-server-pool.js'] : [])];
    const config = { compilerOptions: { ...common, ...resolver.options, ...checked }, files };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config, null, 2));
    return { name, project };
  });
}

function sourceOf({ require: required, json = " with { type: 'json' }" }, subpaths) {
  const imports = subpaths.map(({ specifier }, index) => {
    if (required) return `import entry${index} = require('${specifier}');`;
    return specifier.endsWith('.json')
      ? `import entry${index} from '${specifier}'${json};`
      : `import * as entry${index} from '${specifier}';`;
  });
  const main = subpaths.findIndex(({ specifier }) => !specifier.includes('/'));
  return [
    ...imports,
    'type IsAny<T> = 0 extends 1 & T ? true : false;',
    ...subpaths.map((_, index) => `export const isAny${index}: IsAny<typeof entry${index}> = false;`),
    `const { MCPServerPool } = entry${main};`,
    `const lease: Promise<entry${main}.PooledServer> = new MCPServerPool({ servers: {} }).getServer('files');`,
    '// @ts-expect-error: the options are checked.',
    'new MCPServerPool({ servers: 1 });',
    'export { lease };',
    '',
  ].join('\n');
}
