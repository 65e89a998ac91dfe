/** A program that takes code as an argument, in which `${…}` has a meaning. */
interface Program {
  readonly names: RegExp;
  /** Its option before the code. Without one, all its arguments may be code. */
  readonly code?: RegExp;
  /** Its options that take the next word. */
  readonly values?: RegExp;
  /** What is an option of it. Default: what begins with `-`. */
  readonly option?: RegExp;
  /** Words that come before its options. */
  readonly subcommands?: RegExp;
  /** Whether its options may come after other words. */
  readonly anywhere?: true;
  /** Whether its first word that is no option may be a program, too. */
  readonly runs?: true;
}

const PROGRAMS: readonly Program[] = [
  {
    names: /^(?:ba|z|da|k|mk|c|tc|a|fi)?sh$/,
    code: /^(?:-[a-z]*c|--command)$/,
    values: /^(?:[-+][a-z]*o|[-+]O|--rcfile|--init-file)$/,
    option: /^[-+]./,
  },
  { names: /^su$/, code: /^(?:-c|--command)$/, anywhere: true },
  { names: /^nix-shell$/, code: /^--(?:run|command)$/, anywhere: true },
  { names: /^cmd$/, code: /^\/[ck]$/i, option: /^\// },
  {
    names: /^(?:powershell|pwsh)$/,
    code: /^[-/](?:c|command)$/i,
    values: /^[-/](?:ep|ex|executionpolicy|v|version|w|windowstyle|inputformat|outputformat|wd|workingdirectory)$/i,
    option: /^[-/]./,
  },
  {
    names: /^(?:node|deno|bun|tsx)$/,
    code: /^(?:-[a-z]*e|-p|--eval|--print|eval)$/,
    values:
      /^(?:-r|--require|--import|--loader|--experimental-loader|-C|--conditions|--env-file|--preload|--tsconfig)$/,
  },
  { names: /^(?:python|pypy)$/, code: /^-[a-zA-Z]*c$/, values: /^-[WX]$/ },
  { names: /^(?:perl|ruby)$/, code: /^-[a-z]*[eE]$/, values: /^-[Ir]$/ },
  { names: /^(?:lua|osascript)$/, code: /^-e$/, values: /^-l$/ },
  { names: /^php$/, code: /^-[rBRE]$/, values: /^-[cd]$/ },
  {
    names: /^(?:npx|npm|pnpm|yarn)$/,
    code: /^(?:-c|--call)$/,
    values:
      /^(?:-p|--package|-w|--workspace|-C|--dir|--prefix|-F|--filter|--registry|--cache|--userconfig|--loglevel|--script-shell)$/,
    subcommands: /^(?:exec|x|dlx)$/,
    runs: true,
  },
  { names: /^(?:ssh|envsubst|g?awk|sed|jq)$/ },
];

/** Programs that start another one, which is named somewhere among their arguments. */
const LAUNCHERS =
  /^(?:env|cross-env|sudo|doas|timeout|nice|ionice|nohup|setsid|stdbuf|time|xvfb-run|busybox|chroot|unshare|bwrap|firejail|docker|docker-compose|podman|nerdctl|kubectl|wsl|flatpak|uv|poetry|pipenv|conda|mise|direnv|dotenv|op|doppler|infisical)$/;

/** `@scope/ssh` and `ghcr.io/x/ssh` name a package and an image. */
const PATH_OF_PROGRAM = /^(?:\.{0,2}\/|[A-Za-z]:[\\/])|(?:^|[\\/])bin[\\/][^\\/]+$/;

/** The number of the first argument that may be code for a shell or an interpreter; the number of arguments if none may. */
export function codeFrom(command: string, args: readonly string[]): number {
  const isLauncher = LAUNCHERS.test(programOf(command));
  let program = find(command);
  for (let at = 0; ; ) {
    if (program) {
      if (program.code === undefined) return at;
      const end = endOfOptions(program, program.code, args, at);
      if (end.isCode) return end.at;
      at = end.at;
      const next = args[at];
      program = program.runs && next !== undefined && !next.includes('/') ? find(next) : undefined;
      if (program) {
        at += 1;
        continue;
      }
    }
    if (!isLauncher) return args.length;
    for (; program === undefined && at < args.length; at++) program = launched(args[at] as string, args[at - 1]);
    if (program === undefined) return args.length;
  }
}

/** Where the options of a program end: before its code, or before the first word that is none, nor the value of one. */
function endOfOptions(
  { values, option = /^-./, subcommands, anywhere }: Program,
  code: RegExp,
  args: readonly string[],
  from: number,
): { readonly isCode: boolean; readonly at: number } {
  for (let at = from; at < args.length; at++) {
    const word = args[at] as string;
    if (code.test(word)) return { isCode: true, at: at + 1 };
    if (word === '--' && !anywhere) return { isCode: false, at: at + 1 };
    if (values?.test(word)) at += 1;
    else if (!anywhere && !option.test(word) && !subcommands?.test(word)) return { isCode: false, at };
  }
  return { isCode: false, at: args.length };
}

/** The program that a word of a launcher names, if it does. */
function launched(word: string, before: string | undefined): Program | undefined {
  const entrypoint = before === '--entrypoint' ? word : /^--entrypoint=(.*)/s.exec(word)?.[1];
  // Its arguments come after the image, and options of the launcher before that.
  if (entrypoint !== undefined) return withOptionsAnywhere(find(entrypoint));
  return !/[\\/]/.test(word) || PATH_OF_PROGRAM.test(word) ? find(word) : undefined;
}

function withOptionsAnywhere(program: Program | undefined): Program | undefined {
  return program && { ...program, anywhere: true };
}

function find(word: string): Program | undefined {
  const name = programOf(word);
  return PROGRAMS.find(({ names }) => names.test(name));
}

/** `/usr/bin/python3.12` is `python`, `C:\x\cmd.exe` is `cmd`. */
function programOf(word: string): string {
  const name = word.slice(Math.max(word.lastIndexOf('/'), word.lastIndexOf('\\')) + 1).toLowerCase();
  return name.replace(/\.(?:exe|cmd|bat)$/, '').replace(/[\d.]+$/, '');
}
