import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EventEmitter } from 'eventemitter3';
import {
  Application,
  Context,
  Converter,
  type DeclarationReflection,
  type ProjectReflection,
  ReflectionKind,
} from 'typedoc';
import ts from 'typescript';
import { SafeEmitter } from '../../src/events.js';
import { ROOT } from '../helpers/compiled.js';
import { anchorsOf } from '../helpers/markdown.js';
import { ENTRIES } from './program.js';

const OPTIONS = {
  entryPoints: ENTRIES.map((entry) => join(ROOT, `src/${entry}.ts`)),
  tsconfig: join(ROOT, 'tsconfig.json'),
  plugin: ['typedoc-plugin-markdown'],
  // One page for each entry point.
  router: 'module',
  readme: 'none',
  // Nothing that depends on where and when it is made.
  disableSources: true,
  disableGit: true,
  hideGenerator: true,
  includeVersion: false,
  // `npm run types` does that.
  skipErrorChecking: true,
  excludePrivate: true,
  excludeInternal: true,
  logLevel: 'Error',
  validation: false,
  hidePageHeader: true,
  hideBreadcrumbs: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  propertyMembersFormat: 'table',
  typeDeclarationFormat: 'table',
  typeDeclarationVisibility: 'compact',
  tableColumnSettings: {
    hideDefaults: true,
    hideInherited: true,
    hideModifiers: true,
    hideOverrides: true,
    hideSources: true,
  },
} as const;

/** What every class with events has of its base: described once, in docs/events.md. */
const OF_EMITTERS = new Set([
  ...Object.getOwnPropertyNames(EventEmitter.prototype),
  ...Object.getOwnPropertyNames(SafeEmitter.prototype),
  ...Object.getOwnPropertyNames(EventEmitter),
  ...Object.getOwnPropertyNames(Error),
  'prefixed',
  'toJSON',
  'tell',
  'isTapped',
  'forward',
]);
OF_EMITTERS.delete('constructor');
OF_EMITTERS.delete('name');

/** The pages of docs/api by name. */
export async function apiPages(): Promise<ReadonlyMap<string, string>> {
  mkdirSync(join(ROOT, '.tmp'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.tmp', 'api-'));
  const outputs = [{ name: 'markdown', path: folder }];
  const app = await Application.bootstrapWithPlugins({ ...OPTIONS, outputs } as object);
  // Before the members are put into groups.
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => removeEmitters(project));
  const restore = showOptions();
  try {
    const project = await app.convert();
    if (project === undefined) throw new Error('typedoc could not read the sources');
    await app.generateOutputs(project);
    const files = readdirSync(folder).sort();
    const pages = files.map((file) => [file, tidied(readFileSync(join(folder, file), 'utf8'))] as const);
    return new Map([...pages, ['README.md', OVERVIEW]]);
  } finally {
    restore();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The types of options are made from the tables of options (`Given<typeof fields>`): with the tag `@interface` typedoc shows their
 * members. It is added here, since editors would show it in every comment.
 */
function showOptions(): () => void {
  const original = Context.prototype.getComment;
  Context.prototype.getComment = function (this: Context, symbol, kind) {
    const comment = original.call(this, symbol, kind);
    const [declaration] = symbol.declarations ?? [];
    const text = declaration && ts.isTypeAliasDeclaration(declaration) ? declaration.type.getText() : '';
    // Not what is one of their members.
    const isGiven = /^(?:Omit<)?(?:Given|Resolved)<|^PrefetchSettings/.test(text) && !text.endsWith(']');
    if (isGiven && kind === ReflectionKind.TypeAlias) comment?.modifierTags.add('@interface');
    return comment;
  };
  return () => {
    Context.prototype.getComment = original;
  };
}

function removeEmitters(project: ProjectReflection): void {
  const classes = project.getReflectionsByKind(ReflectionKind.Class) as DeclarationReflection[];
  for (const { children = [] } of classes) {
    for (const child of [...children])
      if (OF_EMITTERS.has(child.name) || child.name.startsWith('[custom')) project.removeReflection(child);
  }
}

const OVERVIEW = `# API reference

Every exported class, function and type, made from the comments in the code (\`npm run generate\`). Durations are milliseconds, sizes MB
(1,048,576 bytes), unless something else is said. Methods that reject or throw do so with a [PoolError](../errors.md).

${ENTRIES.map((entry) => `- [${nameOf(entry)}](${entry}.md)`).join('\n')}

Classes with events have the methods of eventemitter3, too: \`on\`, \`once\`, \`off\`, \`removeAllListeners\`, \`listenerCount\`, ….
What they emit: [events](../events.md). Most calls and options by task: [reference](../reference.md), [options](../options.md).
`;

/** What says nothing to a reader, or only to one of a website: lines, padding, names of bases, places of single fields. */
function tidied(page: string): string {
  const headings = anchorsOf(page);
  return `${withoutParts(page)
    // Counted, though there is one heading alone.
    .replaceAll(/\(#([\w-]+)-\d+\)/g, (link, name: string) => (headings.has(link.slice(2, -1)) ? link : `(#${name})`))
    .replace(/^# (\w+)$/m, (_, entry: string) => `# ${nameOf(entry)}`)
    .replaceAll(/^\*\*\*\n\n/gm, '')
    .replaceAll(/^#{3,6} (?:Overrides|Inherited from|Extends|Implements)\n\n[^#]*?(?=^#|$(?!\n))/gm, '')
    // The fields of events: docs/events.md has them, with what they mean.
    .replaceAll(/^\| `[a-z-]+:[a-z-]+\.[^|]*\|.*\n/gm, '')
    .replaceAll(/<a id="[^"]*"><\/a> /g, '')
    .replaceAll(/\[([^\]]*)\]\(#property-[^)]*\)/g, '`$1`')
    .replaceAll(/^(\|(?: -+ \|)+)$/gm, (line) => line.replaceAll(/-+/g, '---'))
    .trim()}\n`;
}

function nameOf(entry: string): string {
  return entry === 'index' ? 'mcp-server-pool' : `mcp-server-pool/${entry}`;
}

/** Parts of options, which the page of the part describes, are objects here. */
function withoutParts(page: string): string {
  let text = page;
  for (;;) {
    const opening = /`(?:Given|Resolved)`\\</.exec(text);
    if (opening === null) return text;
    let [at, depth] = [opening.index + opening[0].length, 1];
    // Up to the `\>` that closes it.
    for (; depth > 0; at += 1) depth += text.startsWith('\\<', at) ? 1 : text.startsWith('\\>', at) ? -1 : 0;
    text = `${text.slice(0, opening.index)}\`object\`${text.slice(at + 1)}`;
  }
}
